"""How a notification goes out on each channel: the console shows it, a mail is sent through Dapr."""

import html
from datetime import UTC
from pathlib import Path
from string import Template

from chassis.sidecar import OutcomeUnknown, Sidecar
from services.notification.model import Notification

_TEMPLATE = Template(
    (Path(__file__).parent / "templates" / "order_created.html").read_text()
)


def subject(notification: Notification) -> str:
    """Give the subject of a mail."""
    return f"Your order {notification.order_id}"


def body(notification: Notification) -> str:
    """Give the body of a mail, in HTML: what the customer wrote is text in it, whatever it contains."""
    created_at = notification.order_created_at.astimezone(UTC)
    return _TEMPLATE.substitute(
        subject=html.escape(subject(notification)),
        customer_name=html.escape(notification.customer_name),
        created_at=f"{created_at:%-d %B %Y at %H:%M} UTC",
        order_id=notification.order_id,
    )


class Console:
    """The console shows what is sent by itself, after the commit: there is nothing to do before."""

    async def deliver(self, notification: Notification) -> None:
        """Do nothing."""


class Mail:
    """Mail, through the output binding of this name.

    One at a time: Dapr's SMTP binding mixes up mails that are sent at once, text of one to the other's
    customer. For the same reason each says its recipient and its subject itself.
    """

    def __init__(self, sidecar: Sidecar, binding: str) -> None:
        self._sidecar = sidecar
        self._binding = binding
        # An earlier process may have left a mail behind, too.
        self._in_doubt = True

    async def deliver(self, notification: Notification) -> None:
        """Send a mail; raises what Sidecar.send raises."""
        if self._in_doubt:
            # A sidecar that stood still would begin with this mail and the one before it at once, when it
            # goes on. One that answers has begun with the one before, and then they do not meet.
            await self._sidecar.metadata()
            self._in_doubt = False
        try:
            await self._send(notification)
        except OutcomeUnknown:
            self._in_doubt = True
            raise

    async def _send(self, notification: Notification) -> None:
        assert notification.customer_email  # noqa: S101 - who has none is told on the console
        metadata = {
            "emailTo": notification.customer_email,
            "subject": subject(notification),
        }
        await self._sidecar.send(self._binding, body(notification), metadata)
