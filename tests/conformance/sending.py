"""Sending mails through the other app's sidecar, to a mail server that may misbehave."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from services.notification import smtp
from tests.conformance.stage import EMAIL, Stage
from tests.support.mail_server import Act, Mailbox


def a_recipient() -> str:
    """Return an address that nobody else has."""
    return f"{uuid4()}@example.com"


async def send(
    dapr: Stage, to: str, text: str = "<p>Hello</p>", subject: str = "An order"
) -> None:
    """Send a mail through the other app's sidecar."""
    metadata = {"emailTo": to, "subject": subject}
    await smtp.send(dapr.other, EMAIL, text, metadata)


@contextmanager
def acting(mailbox: Mailbox, stage: str, act: Act) -> Iterator[None]:
    """Make the mail server do this at a stage, to every mail."""
    mailbox.acts[stage] = act
    try:
        yield
    finally:
        del mailbox.acts[stage]
