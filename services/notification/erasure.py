"""What the service knows of a customer is erased; what was not sent to them never is."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from sqlalchemy import and_, case, select, update
from sqlalchemy.orm import Session

from chassis.dead_letters.erase import BY, WHY
from chassis.outbox import find_events, redact
from chassis.runtime import clock
from contracts.notification_failed import NotificationFailed
from contracts.order_erased import ERASED
from services.notification import outcomes
from services.notification.model import Notification, State

OURS = f"discarded by {BY}: {WHY}"
UNSENT = (State.READY, State.SENDING, State.UNKNOWN, State.HELD)


def erase(session: Session, orders: Collection[UUID]) -> None:
    """Erase the customers of these orders; repeated, it changes nothing.

    What is being sent at this moment may still arrive: nobody can take a mail back.
    """
    _redact_reports(session, orders)
    ours = and_(Notification.order_id.in_(orders), Notification.erased_at.is_(None))
    unsent = and_(ours, Notification.state.in_(UNSENT))
    outcomes.discard(session, unsent, BY, WHY)
    # What operators and mail servers wrote may name the customer too.
    written = {
        each.key: case((each == OURS, OURS), (each.is_not(None), ERASED))
        for each in (
            Notification.reason,
            Notification.release_reason,
            Notification.discard_reason,
        )
    }
    personal = {"customer_name": ERASED, "customer_email": None, "slot_of": None}
    session.execute(
        update(Notification)
        .where(ours)
        .values(**personal, **written, erased_at=clock.now())
    )


def _redact_reports(session: Session, orders: Collection[UUID]) -> None:
    ours = Notification.order_id.in_(orders), Notification.reports != ""
    reports = session.scalars(select(Notification.reports).where(*ours))
    stored = find_events(session, [each for some in reports for each in some.split()])
    failed = {
        event_id: NotificationFailed.model_validate(
            {**event["data"], "reason": ERASED}, by_alias=True, by_name=False
        )
        for event_id, event in stored.items()
        if event["type"] == NotificationFailed.topic()
    }
    redact(session, failed)


def store_erased(session: Session, row: dict[str, Any]) -> None:
    """Store the notification of an order whose customer was erased before it was handled: it is never sent."""
    held = {"state": State.HELD, "due_at": None}
    session.add(Notification(**row | held))
    session.flush()
    erase(session, [row["order_id"]])
