"""The page that shows the mails of a folder, and the same as JSON; it changes nothing, and trusts no mail."""

from pathlib import Path

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from toolchain.mail import mailbox
from toolchain.mail.mail_html import SCRIPT, STYLE, list_page, mail_page
from toolchain.mail.mailbox import Mail

SHOWN = 200
OURS = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; frame-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
THEIRS = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"
"""For what a mail brings: no script, nothing from elsewhere, an origin of its own, however it is opened."""


def make(folder: Path, *more: Route) -> Starlette:
    """Make the page of this folder, with whatever else is served beside it."""
    routes = [
        *more,
        Route("/", list_mails),
        Route("/mail/{id}", show_mail),
        Route("/mail/{id}/html", show_html),
        Route("/mail/{id}/source", show_source),
        Route("/api/mail", mails_as_json),
        Route("/style.css", lambda _: Response(STYLE, media_type="text/css")),
        Route("/page.js", lambda _: Response(SCRIPT, media_type="text/javascript")),
    ]
    # Any page in the browser may let its own name lead here; it must not read the mails by it.
    names = Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])
    app = Starlette(routes=routes, middleware=[Middleware(Guarded), names])
    app.state.folder = folder
    return app


class Guarded:
    """Puts on every answer what the browser may do with it."""

    def __init__(self, app: ASGIApp) -> None:
        """Guard this app."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the headers that guard."""

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("Content-Security-Policy", OURS)
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "no-referrer"
                headers["Cross-Origin-Resource-Policy"] = "same-origin"
                headers["Cache-Control"] = "no-store"
            await send(message)

        await self.app(scope, receive, guarded)


def list_mails(request: Request) -> Response:
    """Show the newest mails."""
    return HTMLResponse(list_page(_newest(request), SHOWN))


def show_mail(request: Request) -> Response:
    """Show one mail, its HTML part if it has one, or as `?as=text`."""
    mail = mailbox.read(_file(request))
    return HTMLResponse(
        mail_page(mail, as_text=request.query_params.get("as") == "text")
    )


def show_html(request: Request) -> Response:
    """Give the HTML part for the frame that shows it."""
    mail = mailbox.read(_file(request))
    return HTMLResponse(mail.html, headers={"Content-Security-Policy": THEIRS})


def show_source(request: Request) -> Response:
    """Give the mail as it came."""
    source = _file(request).read_bytes().decode(errors="replace")
    return PlainTextResponse(source, headers={"Content-Security-Policy": THEIRS})


def mails_as_json(request: Request) -> Response:
    """Give the newest mails to programs."""
    return JSONResponse([_as_json(mail) for mail in _newest(request)])


def _newest(request: Request) -> list[Mail]:
    return mailbox.newest(request.app.state.folder, SHOWN)


def _file(request: Request) -> Path:
    path = mailbox.find(request.app.state.folder, request.path_params["id"])
    if path is None:
        raise HTTPException(404, "There is no such mail.")
    return path


def _as_json(mail: Mail) -> dict[str, object]:
    return {
        "id": mail.id,
        "receivedAt": mail.received.isoformat(timespec="milliseconds"),
        "from": mail.sender,
        "to": list(mail.to),
        "subject": mail.subject,
        "text": mail.text,
        "html": mail.html,
    }
