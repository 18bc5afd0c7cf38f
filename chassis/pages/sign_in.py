"""The pages that sign people in and out: the issuer asks who they are, and sends them back."""

import re
import secrets
from urllib.parse import quote, unquote

from fastapi import Response
from sqlalchemy.orm import Session

from chassis.access import OPEN, OPERATE, CodeFlow, Identity, SignInRefused
from chassis.errors import Rejected
from chassis.http import INTERNAL, Read
from chassis.http.app import scope_of
from chassis.pages import session as sessions
from chassis.pages.page import page, see_other
from chassis.pages.router import Form, PageRouter
from chassis.pages.session import SESSION, SIGN_IN, SignedIn, cookie, set_cookie
from chassis.runtime import clock

PATIENCE = 600
"""Seconds that somebody may take at the issuer."""
LONGEST_NEXT = 2000
# Relative, and of plain names: it leads to a page of this service, wherever it is mounted, and nowhere else.
_OWN_PAGE = re.compile(r"(\w[\w.~-]*(/\w[\w.~-]*)*)?(\?[!-\[\]-~]*)?", re.ASCII)

router = PageRouter(scope=OPEN)


class NoSignIn(Rejected):
    """Nobody signs in here: OIDC_CLIENT_ID is not set."""

    status = 404


@router.get("/sign-in")
async def get_sign_in(read: Read) -> Response:
    """Send the browser to the issuer, with a secret to come back with."""
    back = own_page(read.query_params.get("next", ""))
    if read.parts.access is None:
        return see_other(f"./{back}")
    secret = secrets.token_urlsafe(32)
    answer = see_other(await _flow(read).address(secret, _scopes(read)))
    kept = f"{secret}.{quote(back, safe='')}"
    set_cookie(answer, read.parts, SIGN_IN, kept, PATIENCE)
    return answer


@router.get("/signed-in")
async def get_signed_in(read: Read) -> Response:
    """Begin the session of whoever comes back from the issuer, and show the page that was asked for."""
    flow, parts = _flow(read), read.parts
    secret, _, back = read.cookies.get(cookie(parts, SIGN_IN), "").partition(".")
    if not secret:
        why = "This browser began no sign-in, or it took longer than ten minutes."
        raise SignInRefused(why)
    identity = await flow.finish(secret, read.query_params)
    begun = await _begin(read, identity)
    answer = see_other(f"./{own_page(unquote(back))}")
    lasts = int(begun.caller.until - clock.now().timestamp())
    set_cookie(answer, parts, SESSION, begun.secret, lasts)
    set_cookie(answer, parts, SIGN_IN, "", 0)
    return answer


async def _begin(read: Read, identity: Identity) -> SignedIn:
    before = read.cookies.get(cookie(read.parts, SESSION))

    def work(session: Session) -> SignedIn:
        return sessions.start(session, identity, before)

    return await read.parts.database.write(work)


@router.post("/sign-out")
async def post_sign_out(form: Form) -> Response:
    """End the session."""
    if found := sessions.of(form):
        await form.parts.database.write(lambda each: sessions.end(each, found.secret))
    answer = see_other("signed-out")
    set_cookie(answer, form.parts, SESSION, "", 0)
    return answer


@router.get("/signed-out")
async def get_signed_out(read: Read) -> Response:
    """Show that nobody is signed in."""
    return page(read, "signed-out.html")


def own_page(address: str) -> str:
    """Return an address that leads to a page of this service, relative to its first; nothing for any other."""
    is_own = len(address) <= LONGEST_NEXT and _OWN_PAGE.fullmatch(address)
    return address if is_own else ""


def _scopes(read: Read) -> set[str]:
    """Return what routes of this service need: a session is for no other."""
    stated = {scope_of(each) or OPEN for each in read.app.routes}
    return {OPERATE, *stated} - {OPEN, INTERNAL}


def _flow(read: Read) -> CodeFlow:
    if read.parts.sign_in is None:
        raise NoSignIn
    return read.parts.sign_in
