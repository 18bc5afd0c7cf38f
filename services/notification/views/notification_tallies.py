"""How many notifications are in each state that is not SENT, and what that asks of an operator."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from chassis.operations.model import MOST, Count, Problem, Severity, Tally
from chassis.operations.stored import count_of
from chassis.operations.words import counted, since
from chassis.runtime import clock
from services.notification.model import IS_IN_TROUBLE, IS_OPEN, Notification, State

LATE = timedelta(minutes=1)
"""How long a mail may be due before somebody looks at its channel."""
OF = "Notifications"
_OF_OPERATORS = {
    State.HELD: "nobody knows whether their mail arrived: decide, and release them",
    State.FAILED: "refused for good: correct what the reason names, and release them",
}


def find_notification_tallies(session: Session) -> Sequence[Tally]:
    """Return the states, by the two small indexes; those of mails on the way are counted together."""
    return [
        *_on_the_way(session),
        *(_of_operators(session, each) for each in _OF_OPERATORS),
    ]


def _on_the_way(session: Session) -> Sequence[Tally]:
    some = select(Notification.state).where(IS_OPEN).limit(MOST + 1).subquery()
    counted_by_state = select(some.c.state, func.count()).group_by(some.c.state)
    found = {
        State(state): number for state, number in session.execute(counted_by_state)
    }
    more = sum(found.values()) > MOST
    due = select(func.min(Notification.due_at)).where(IS_OPEN)
    oldest = session.scalar(due)
    tallies = [
        Tally(
            name=each,
            of=OF,
            count=Count(number=min(found.get(each, 0), MOST), more=more),
        )
        for each in (State.READY, State.SENDING, State.UNKNOWN)
    ]
    ready = tallies[0]
    problem = _is_late(ready.count, oldest)
    return [
        ready.model_copy(update={"oldest": oldest, "problem": problem}),
        *tallies[1:],
    ]


def _is_late(ready: Count, due: datetime | None) -> Problem | None:
    now = clock.now()
    if not ready.number or due is None or now - due < LATE:
        return None
    mails = counted(ready, "mail is", "mails are")
    what = f"{mails} READY, the first due for {since(due, now)}: the mail channel is slow, or away."
    do = "See that the mail server runs and accepts mail: what waits is sent by itself."
    return Problem(severity=Severity.WARNING, what=what, do=do)


def _of_operators(session: Session, state: State) -> Tally:
    mine = select(Notification.id).where(Notification.state == state, IS_IN_TROUBLE)
    found = count_of(session, mine)
    if not found.number:
        return Tally(name=state, of=OF, count=found)
    notifications = counted(found, "notification is", "notifications are")
    what = f"{notifications} {state}: {_OF_OPERATORS[state]}."
    do = (
        "Release them on their page, or with `python -m services.notification.release`."
    )
    severity, address = Severity.WARNING, f"?state={state}"
    problem = Problem(severity=severity, what=what, do=do, address=address)
    return Tally(name=state, of=OF, count=found, problem=problem)
