"""How a notification goes out on each channel: the console shows it, a mail is sent through Dapr."""

import hashlib
import html
from datetime import UTC
from pathlib import Path
from string import Template

from chassis.dapr.bindings import BindingRefused
from chassis.dapr.sidecar import Sidecar
from services.notification.model import Notification

_TEMPLATE = Template(
    (Path(__file__).parent / "templates" / "order_created.html").read_text()
)

KEYED = {"bindings.smtp": False, "bindings.http": True}
"""The kinds of components that send mails, and whether what they reach deduplicates by a key."""


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


def key(notification: Notification) -> str:
    """Give the key by which a mail is known again: of which order, what it says, and to whom.

    So it is the same after a rebuild, and another where a forged event had said something else before.
    """
    said = f"{notification.customer_email} {notification.text}"
    digest = hashlib.sha256(said.encode()).hexdigest()[:16]
    return f"order-created/{notification.order_id}/{digest}"


class Console:
    """The console shows what is sent by itself, after the commit: there is nothing to do before."""

    async def is_keyed(self) -> bool:
        """Tell that nothing out there would know a notification again."""
        return False

    async def deliver(self, notification: Notification) -> None:
        """Do nothing."""


class Mail:
    """Mail, through the output binding of this name, of whichever kind the sidecar has it.

    To a mail server goes one at a time: Dapr's SMTP binding mixes up mails that are sent at once, text of one
    to the other's customer. For the same reason each says its recipient and its subject itself. To a mail API
    each goes with a key, by which the API knows it again. `sender` is named to the API alone.
    """

    def __init__(self, sidecar: Sidecar, binding: str, sender: str) -> None:
        self._sidecar = sidecar
        self._binding = binding
        self._sender = sender

    async def is_keyed(self) -> bool:
        """Tell whether a mail that is sent now carries a key that its receiver deduplicates by.

        Asked before every mail: the sidecar may have another component by now. And one that stood still would
        begin with this mail and one before it at once, when it goes on; one that answers has begun with the
        one before, and then they do not meet. Raises SidecarUnavailable, BindingRefused.
        """
        loaded = await self._sidecar.metadata()
        kinds = {each["name"]: each["type"] for each in loaded.get("components") or []}
        kind = kinds.get(self._binding)
        if kind not in KEYED:
            reason = f"the sidecar has no `{self._binding}` that can send mails"
            raise BindingRefused(reason, permanent=False)
        return KEYED[kind]

    async def deliver(self, notification: Notification) -> None:
        """Send a mail as its claim says; raises what Sidecar.send raises."""
        send = self._post if notification.keyed else self._send
        await send(notification, _recipient(notification))

    async def _send(self, notification: Notification, to: str) -> None:
        metadata = {"emailTo": to, "subject": subject(notification)}
        await self._sidecar.send(self._binding, body(notification), metadata)

    async def _post(self, notification: Notification, to: str) -> None:
        mail = {
            "from": self._sender,
            "to": to,
            "subject": subject(notification),
            "html": body(notification),
        }
        headers = {"Idempotency-Key": key(notification)}
        await self._sidecar.post(self._binding, mail, headers)


def _recipient(notification: Notification) -> str:
    assert notification.customer_email  # noqa: S101 - who has none is told on the console
    return notification.customer_email
