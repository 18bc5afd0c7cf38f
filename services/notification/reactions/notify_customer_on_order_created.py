"""On OrderCreated, notify its customer: on the console at once, or by a mail that the dispatcher sends."""

from typing import Any

from sqlalchemy import inspect
from sqlalchemy.orm import Session

from chassis.cloud_event import Cause, CloudEvent
from chassis.database import add, wake
from chassis.inbox import Reaction, Start
from chassis.outbox import append
from chassis.runtime import clock, telemetry, uuid7
from contracts.notification_sent import NotificationSent
from contracts.order_created import OrderCreated
from services.notification import console
from services.notification.erasure import store_erased
from services.notification.measures import measure_notified
from services.notification.model import SIGNAL, Channel, Notification, State, text_of

_STORED = frozenset(inspect(Notification).column_attrs.keys())


def notify_customer_on_order_created(
    event: OrderCreated, envelope: CloudEvent, session: Session
) -> None:
    """Store the notification. A mail is sent after the commit, since no transaction can take it back.

    A line on the console is SENT with this transaction: it needs no answer, and is printed at most once.
    """
    row = row_of(event, envelope)
    if event.erased_at:
        store_erased(session, row)
        return
    if row["channel"] is Channel.CONSOLE:
        _send(session, row)
    else:
        wake(session, SIGNAL)
    add(session, Notification.__table__, row)


def _send(session: Session, row: dict[str, Any]) -> None:
    order_id, now = row["order_id"], row["due_at"]
    row.update(state=State.SENT, sent_at=now, due_at=None, attempt=1, version=1)
    event = NotificationSent(order_id=order_id, channel=Channel.CONSOLE, sent_at=now)
    cause = Cause(row["trace"], row["caused_by"])
    append(session, event, subject=order_id, cause=cause, version=1)
    measure_notified(session, Channel.CONSOLE, now, row["created_at"])
    console.print_after_commit(
        session, text_of(order_id, row["customer_name"], row["created_at"])
    )


def row_of(event: OrderCreated, envelope: CloudEvent | None = None) -> dict[str, Any]:
    """Return the row of an order's notification, ready to be sent; a rebuild may have no envelope.

    All rows name the same columns, those included that only `_send` fills.
    """
    copied = {
        name: getattr(event, name)
        for name in OrderCreated.model_fields
        if name in _STORED and name != "erased_at"
    }
    return copied | {
        "id": uuid7(),
        "channel": Channel.EMAIL if event.customer_email else Channel.CONSOLE,
        "state": State.READY,
        "due_at": clock.now(),
        "sent_at": None,
        "attempt": 0,
        "version": 0,
        "trace": envelope.traceparent if envelope else telemetry.traceparent_or_new(),
        "caused_by": envelope.id if envelope else "",
    }


# From the BEGINNING: customers who order before this service runs for the first time are notified too. A second
# reaction that sends mail, added later, would start NOW.
reaction = Reaction(
    OrderCreated, notify_customer_on_order_created, start=Start.BEGINNING
)
