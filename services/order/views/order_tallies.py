"""How many orders do not show a sent notification, by what they show."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from chassis.operations.model import MOST, Count, Problem, Severity, Tally
from chassis.operations.words import counted, since
from chassis.runtime import clock
from services.order.model import IS_UNSENT, NotificationState, Order

LATE = timedelta(minutes=1)
"""How long an order may wait for its notification before somebody looks."""


def find_order_tallies(session: Session) -> Sequence[Tally]:
    """Return the states, counted together by the small index of unsent orders."""
    some = (
        select(Order.notification_state.label("state"), Order.created_at)
        .where(IS_UNSENT)
        .order_by(Order.order_id)
        .limit(MOST + 1)
        .subquery()
    )
    by_state = select(some.c.state, func.count(), func.min(some.c.created_at))
    rows = session.execute(by_state.group_by(some.c.state)).all()
    found = {NotificationState(state): (number, first) for state, number, first in rows}
    more = sum(number for number, _ in found.values()) > MOST
    return [
        _tally(each, *found.get(each, (0, None)), more=more)
        for each in NotificationState
        if each is not NotificationState.SENT
    ]


def _tally(
    state: NotificationState, number: int, oldest: datetime | None, *, more: bool
) -> Tally:
    count = Count(number=min(number, MOST), more=more)
    waits = state is NotificationState.WAITING and oldest is not None
    problem = _is_late(count, oldest) if waits and oldest else None
    return Tally(name=state, count=count, oldest=oldest, problem=problem)


def _is_late(count: Count, oldest: datetime) -> Problem | None:
    now = clock.now()
    if now - oldest < LATE:
        return None
    orders = counted(count, "order waits", "orders wait")
    what = f"{orders} for a notification, the oldest for {since(oldest, now)}."
    do = "Open one of them: its journey says in one sentence why, and what to do."
    address = f"?state={NotificationState.WAITING}"
    return Problem(severity=Severity.WARNING, what=what, do=do, address=address)
