"""How many orders do not show a sent notification, by what they show."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from chassis.operations.model import Count, Problem, Severity, Tally
from chassis.operations.stored import count_of
from chassis.operations.words import counted, since
from chassis.runtime import clock
from services.order.model import IS_UNSENT, NotificationState, Order

LATE = timedelta(minutes=1)
"""How long an order may wait for its notification before somebody looks."""


def find_order_tallies(session: Session) -> Sequence[Tally]:
    """Return the states but SENT, each counted by the small index of unsent orders."""
    states = (each for each in NotificationState if each is not NotificationState.SENT)
    return [_tally(session, each) for each in states]


def _tally(session: Session, state: NotificationState) -> Tally:
    mine = IS_UNSENT, Order.notification_state == state
    count = count_of(session, select(Order.order_id).where(*mine))
    by_age = select(Order.created_at).where(*mine).order_by(Order.order_id)
    oldest = session.scalar(by_age.limit(1)) if count.number else None
    waits = state is NotificationState.WAITING
    problem = _is_late(count, oldest) if waits and oldest else None
    return Tally(name=state, of="Orders", count=count, oldest=oldest, problem=problem)


def _is_late(count: Count, oldest: datetime) -> Problem | None:
    now = clock.now()
    if now - oldest < LATE:
        return None
    orders = counted(count, "order waits", "orders wait")
    what = f"{orders} for a notification, the oldest for {since(oldest, now)}."
    do = "Open one of them: its journey says in one sentence why, and what to do."
    address = f"?state={NotificationState.WAITING}"
    return Problem(severity=Severity.WARNING, what=what, do=do, address=address)
