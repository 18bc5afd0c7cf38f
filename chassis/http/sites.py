"""What a page of another site may not do in the browser of somebody who reaches this service."""

import re

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chassis.errors import HEADERS, Rejected, problem

_LOOPBACK = re.compile(
    r"(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?", re.IGNORECASE
)
_LOOPBACK_ADDRESSES = ("127.", "::1")


class CrossSiteRequest(Rejected):
    """This was sent by a page of another site; nothing was changed. Send it from the service's own page."""

    status = 403


class MisdirectedRequest(Rejected):
    """This service listens on this machine alone, and does not answer under another name."""

    status = 421


def check_site(headers: Headers) -> None:
    """Refuse what a page of another site makes a browser send; raises CrossSiteRequest."""
    # The browser itself says where a request comes from; a program says nothing, and may.
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is None and origin is not None:
        # Older, or neither TLS nor loopback: the address that the browser sees is compared.
        own = headers.get("host", "")
        is_own = origin in {f"http://{own}", f"https://{own}"}
        site = "same-origin" if is_own else "cross-site"
    if site not in {None, "same-origin", "none"}:
        raise CrossSiteRequest


class Browsers:
    """ASGI middleware: every answer says what a browser may do with it, and on loopback a foreign name gets none.

    A name that resolves to this machine makes a foreign page one of the same site (DNS rebinding).
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 421, or pass the request on and add to the answer the headers that it lacks."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add_headers(message)
            await send(message)

        app = problem(MisdirectedRequest()) if _is_foreign(scope) else self.app
        await app(scope, receive, safely)


_ADDED = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]


def _add_headers(message: Message) -> None:
    sent = [*message["headers"]]
    names = {name for name, _ in sent}
    message["headers"] = sent + [each for each in _ADDED if each[0] not in names]


def _is_foreign(scope: Scope) -> bool:
    server = scope.get("server")
    if not server or not server[0].startswith(_LOOPBACK_ADDRESSES):
        return False
    host = Headers(scope=scope).get("host", "localhost")
    return _LOOPBACK.fullmatch(host) is None
