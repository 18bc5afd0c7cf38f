"""On OrderCreated, make a notification for its customer ready: the console or the dispatcher sends it."""

from typing import Any

from sqlalchemy import inspect
from sqlalchemy.orm import Session

from chassis.cloud_event import CloudEvent
from chassis.database import add, wake
from chassis.inbox import Reaction, Start
from chassis.runtime import clock, telemetry, uuid7
from contracts.order_created import OrderCreated
from services.notification.model import Channel, Notification, State, signal_of

_STORED = frozenset(inspect(Notification).column_attrs.keys())


def notify_customer_on_order_created(
    event: OrderCreated, envelope: CloudEvent, session: Session
) -> None:
    """Store the notification; it is sent after the commit, since no transaction can take a mail back."""
    row = row_of(event, envelope)
    add(session, Notification.__table__, row)
    wake(session, signal_of(row["channel"]))


def row_of(event: OrderCreated, envelope: CloudEvent | None = None) -> dict[str, Any]:
    """Return the row of an order's notification, ready to be sent; a rebuild may have no envelope."""
    copied = {
        name: getattr(event, name)
        for name in OrderCreated.model_fields
        if name in _STORED
    }
    return copied | {
        "id": uuid7(),
        "channel": Channel.EMAIL if event.customer_email else Channel.CONSOLE,
        "state": State.READY,
        "due_at": clock.now(),
        "trace": envelope.traceparent if envelope else telemetry.traceparent_or_new(),
        "caused_by": envelope.id if envelope else "",
    }


# From the BEGINNING: customers who order before this service runs for the first time are notified too. A second
# reaction that sends mail, added later, would start NOW.
reaction = Reaction(
    OrderCreated, notify_customer_on_order_created, start=Start.BEGINNING
)
