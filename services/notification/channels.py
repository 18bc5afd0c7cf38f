"""How a mail leaves: its text, its key, and the Dapr binding that sends it."""

import hashlib
import html
from datetime import UTC
from pathlib import Path
from string import Template

from chassis.dapr import BindingRefused, Sidecar
from services.notification import smtp
from services.notification.model import Notification

_TEMPLATE = Template(
    (Path(__file__).parent / "templates" / "order_created.html").read_text()
)

BINDING = "email"
"""The output binding that sends mails: components/mail."""
KEYED = {"bindings.smtp": False, "bindings.http": True}
"""The kinds of bindings that send mails, and whether their receivers deduplicate by a key."""


def subject(notification: Notification) -> str:
    """Return the subject of a mail."""
    return f"Your order {notification.order_id}"


def body(notification: Notification) -> str:
    """Return the body of a mail in HTML; whatever the customer wrote is text in it."""
    created_at = notification.created_at.astimezone(UTC)
    return _TEMPLATE.substitute(
        subject=html.escape(subject(notification)),
        customer_name=html.escape(notification.customer_name),
        created_at=f"{created_at:%-d %B %Y at %H:%M} UTC",
        order_id=notification.order_id,
    )


def key(notification: Notification) -> str:
    """Return the key of a mail: a function of order, recipient and text, so that it survives a rebuild."""
    content = f"{notification.customer_email} {notification.text}"
    digest = hashlib.sha256(content.encode()).hexdigest()[:16]
    return f"order-created/{notification.order_id}/{digest}"


class Mail:
    """Mail through the output binding of this name, SMTP or HTTP, whichever the sidecar has.

    A mail server gets one at a time: Dapr's SMTP binding mixes up concurrent mails, the text of one with the
    recipient of another, and keeps what a later call leaves out. A mail API gets each with a key and with
    `sender`, which the SMTP component has in its own configuration.
    """

    def __init__(self, sidecar: Sidecar, binding: str, sender: str) -> None:
        self._sidecar = sidecar
        self._binding = binding
        self._sender = sender

    async def is_keyed(self) -> bool:
        """Return whether a mail sent now carries a key by which its receiver deduplicates.

        Asked before every mail: another component may be loaded by now. And a sidecar that was suspended
        would start this mail and the one before at once; if it answers, it has started the one before, and
        the two do not meet. Raises SidecarUnavailable, BindingRefused.
        """
        metadata = await self._sidecar.metadata()
        components = metadata.get("components") or []
        kinds = {each["name"]: each["type"] for each in components}
        kind = kinds.get(self._binding)
        if kind not in KEYED:
            raise BindingRefused(
                f"the sidecar has no binding `{self._binding}` that can send mails"
            )
        return KEYED[kind]

    async def deliver(self, notification: Notification) -> None:
        """Send a mail as it was claimed, with a key or without; raises what smtp.send raises."""
        if notification.customer_email is None:
            return  # left READY by an older release: only its line on the console is due
        send = self._post if notification.keyed else self._send
        await send(notification, notification.customer_email)

    async def _send(self, notification: Notification, to: str) -> None:
        metadata = {"emailTo": to, "subject": subject(notification)}
        await smtp.send(self._sidecar, self._binding, body(notification), metadata)

    async def _post(self, notification: Notification, to: str) -> None:
        mail = {
            "from": self._sender,
            "to": to,
            "subject": subject(notification),
            "html": body(notification),
        }
        headers = {"Idempotency-Key": key(notification)}
        await self._sidecar.post(self._binding, mail, headers)
