"""A mail server for this machine alone: it keeps every mail, delivers none, and lists them as plain text.

Mails come by SMTP, or as to a mail API: POST /emails, JSON with an Idempotency-Key, one mail a key.

`python -m toolchain.mail.catcher --smtp-port 1025 --page-port 8025 --folder .local/mail`
"""

import argparse
import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email import policy
from email.message import EmailMessage
from email.utils import parseaddr
from pathlib import Path

import uvicorn
from aiosmtpd.smtp import SMTP, Envelope, Session
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from toolchain.mail import mailbox
from toolchain.mail.mailbox import Mail

HERE = "127.0.0.1"
LARGEST, SHOWN = 2**20, 100
PARTS = ("from", "to", "subject", "html")
DIGEST = "X-Request-Digest: "
AS_TEXT = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
"""Whatever a mail contains, no browser takes it for anything but text."""


@dataclass(frozen=True)
class Storing:
    """The handler of mails that come by SMTP."""

    folder: Path

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        """Answer 250 when the mail is on the disk."""
        content = envelope.content
        assert isinstance(content, bytes)  # noqa: S101 - decode_data is off
        sender, to = envelope.mail_from or "", envelope.rcpt_tos
        try:
            await asyncio.to_thread(mailbox.store, self.folder, sender, to, content)
        except OSError as error:
            return f"452 Not stored: {error.strerror}"
        return "250 Stored"


def smtp(folder: Path) -> SMTP:
    """Return a connection's end: what arrives is stored in this folder."""
    return SMTP(
        Storing(folder),
        data_size_limit=LARGEST,
        hostname="localhost",
        ident="mail",
        enable_SMTPUTF8=True,
    )


def make_page(folder: Path, smtp_port: int | None = None) -> Starlette:
    """Make the app that lists a folder's mails and takes more by HTTP, and by SMTP where a port is given."""

    @asynccontextmanager
    async def receiving(_app: Starlette) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        by_smtp = await loop.create_server(lambda: smtp(folder), HERE, smtp_port)
        yield
        # Without waiting for its clients: what has not been answered was not taken.
        by_smtp.close()

    routes = [
        Route("/", list_mails),
        Route("/emails", take_mail, methods=["POST"]),
    ]
    # Any page in the browser may let its own name lead here; it must not read the mails by it.
    hosts = Middleware(TrustedHostMiddleware, allowed_hosts=[HERE, "localhost"])
    lifespan = None if smtp_port is None else receiving
    app = Starlette(routes=routes, middleware=[hosts], lifespan=lifespan)
    app.state.folder = folder
    return app


def list_mails(request: Request) -> Response:
    """Show the newest mails."""
    mails = mailbox.newest(request.app.state.folder, SHOWN)
    text = "\n\n".join(_as_text(mail) for mail in mails) or "No mail yet."
    return PlainTextResponse(text, headers=AS_TEXT)


async def take_mail(request: Request) -> Response:
    """Store a posted mail under its key, or answer that it is there already."""
    key, body = request.headers.get("idempotency-key", ""), await request.body()
    if not key or len(body) > LARGEST:
        return _refusal(413 if key else 400)
    try:
        message = _message(body)
    except (ValueError, TypeError, KeyError):
        return _refusal(422)
    store = (request.app.state.folder, key, body, message)
    try:
        return await asyncio.to_thread(_stored, *store)
    except OSError:
        return _refusal(503)


def _stored(folder: Path, key: str, body: bytes, message: EmailMessage) -> Response:
    # Key and mail are one file: there is no moment at which a kill could part the two.
    name = hashlib.sha256(key.encode()).hexdigest()
    mark = f"{DIGEST}{hashlib.sha256(body).hexdigest()}\r\n".encode()
    sender, to = parseaddr(message["From"])[1], str(message["To"])
    try:
        mailbox.store(folder, sender, [to], mark + message.as_bytes(), name)
    except FileExistsError:
        if mark not in (folder / f"{name}.eml").read_bytes():
            return _refusal(409)
    return JSONResponse({"id": name})


def _message(body: bytes) -> EmailMessage:
    posted = json.loads(body)
    if not all(isinstance(posted[name], str) for name in PARTS):
        raise TypeError
    message = EmailMessage(policy.SMTP)  # with the line ends of the headers before it
    for name in PARTS[:-1]:
        message[name.capitalize()] = posted[name]
    message.set_content(posted["html"], subtype="html")
    return message


def _refusal(status: int) -> Response:
    return JSONResponse({"message": "This mail was not taken."}, status)


def _as_text(mail: Mail) -> str:
    received = f"{mail.received.astimezone():%d %b %H:%M:%S}"
    head = f"Received: {received}\nFrom: {mail.sender}\nTo: {mail.to}"
    text = f"{head}\nSubject: {mail.subject}\nFile: {mail.file}\n\n{mail.text}"
    # No sequence that a terminal would obey, and nothing that has no encoding.
    shown = "".join(each for each in text if each.isprintable() or each == "\n")
    return f"{shown}\n{'-' * 80}"


def main() -> None:
    """Serve with the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smtp-port", type=int, default=1025)
    parser.add_argument("--page-port", type=int, default=8025)
    parser.add_argument("--folder", type=Path, default=Path(".local/mail"))
    options = parser.parse_args()
    mailbox.open_folder(options.folder)
    uvicorn.run(
        make_page(options.folder, options.smtp_port),
        host=HERE,
        port=options.page_port,
        log_level="warning",
        timeout_graceful_shutdown=2,
    )


if __name__ == "__main__":
    main()
