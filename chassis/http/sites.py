"""What a page of another site may not do in the browser of somebody who reaches this service."""

import re
from urllib.parse import urlsplit

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
    """This service does not answer under this name: only under those of this machine, and that of PUBLIC_URL."""

    status = 421


def check_site(headers: Headers, public_url: str | None = None) -> None:
    """Refuse what a page of another site makes a browser send; raises CrossSiteRequest."""
    # The browser itself says where a request comes from; a program says nothing, and may.
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is None and origin is not None:
        # Older, or neither TLS nor loopback: the address that the browser sees is compared.
        # Through Dapr, that is not the Host that came here.
        host, public = headers.get("host", ""), urlsplit(public_url or "")
        own = {f"http://{host}", f"https://{host}"}
        if public_url:
            own.add(f"{public.scheme}://{public.netloc}")
        site = "same-origin" if origin in own else "cross-site"
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
    """Return whether a Host is unknown; beyond loopback, where no PUBLIC_URL is set, none is known."""
    server, public = scope.get("server"), _public_netloc(scope)
    is_local = bool(server and server[0].startswith(_LOOPBACK_ADDRESSES))
    if not is_local and not public:
        return False
    sent = Headers(scope=scope).getlist("host") or ["localhost"]
    known = all(_LOOPBACK.fullmatch(each) or each.lower() == public for each in sent)
    return not known or len(sent) > 1


def _public_netloc(scope: Scope) -> str:
    parts = getattr(scope["app"].state, "parts", None) if "app" in scope else None
    return urlsplit(parts.settings.public_url or "").netloc.lower() if parts else ""
