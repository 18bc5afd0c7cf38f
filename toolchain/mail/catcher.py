"""A mail server for this machine alone: it takes every mail, delivers none, and shows them on a page.

Mails come by SMTP, or by HTTP at the page's port (mail_intake.py).

`python -m toolchain.mail.mail_server --smtp-port 1025 --page-port 8025 --folder .local/mail`
"""

import argparse
import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from aiosmtpd.smtp import SMTP, Envelope, Session

from toolchain.mail import mail_page, mailbox
from toolchain.mail.mail_intake import LARGEST, Intake

HERE = "127.0.0.1"


@dataclass(frozen=True)
class Letterbox:
    """Takes what SMTP clients send."""

    folder: Path

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        """Store the mail; only then the client hears that it was taken."""
        content = envelope.content
        assert isinstance(content, bytes)  # noqa: S101 - decode_data is off
        sender, recipients = envelope.mail_from or "", envelope.rcpt_tos
        try:
            await asyncio.to_thread(
                mailbox.store, self.folder, sender, recipients, content
            )
        except OSError as error:
            return f"452 Not stored: {error.strerror}"
        return "250 Stored"


class Door(SMTP):
    """SMTP as this server speaks it: any line that fits into a mail is fine."""

    line_length_limit = LARGEST

    def __init__(self, folder: Path) -> None:
        """Let the mails into this folder."""
        super().__init__(
            Letterbox(folder),
            data_size_limit=LARGEST,
            hostname="localhost",
            ident="mail",
            enable_SMTPUTF8=True,
        )


class Page(uvicorn.Server):
    """The page's server; this program itself decides what a signal does."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield

    def stop(self) -> None:
        """Come to an end."""
        self.should_exit = True


async def serve(folder: Path, smtp_port: int, page_port: int) -> None:
    """Take mails and show them, until this process is told to end."""
    page = Page(
        uvicorn.Config(
            mail_page.make(folder, Intake(folder).route()),
            host=HERE,
            port=page_port,
            log_level="warning",
            timeout_graceful_shutdown=2,
        )
    )
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sign, page.stop)
    smtp = await loop.create_server(lambda: Door(folder), HERE, smtp_port)
    await page.serve()
    # Without waiting for its clients: what has not been answered was not taken.
    smtp.close()


def main() -> None:
    """Serve as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smtp-port", type=int, default=1025)
    parser.add_argument("--page-port", type=int, default=8025)
    parser.add_argument("--folder", type=Path, default=Path(".local/mail"))
    options = parser.parse_args()
    mailbox.open_folder(options.folder)
    asyncio.run(serve(options.folder, options.smtp_port, options.page_port))


if __name__ == "__main__":
    main()
