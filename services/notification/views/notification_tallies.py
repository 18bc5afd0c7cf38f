"""How many notifications are in each state that is not SENT, and what that asks of an operator."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from chassis.operations.model import MOST, Count, Problem, Severity, Tally
from chassis.operations.stored import count_of
from chassis.operations.words import counted, since
from chassis.runtime import clock
from services.notification.model import (
    IS_IN_TROUBLE,
    IS_OPEN,
    PUT_OFF,
    Notification,
    State,
)

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
    is_put_off = func.coalesce(Notification.reason, "").startswith(PUT_OFF)
    listed = select(Notification.state, is_put_off.label("is_put_off")).where(IS_OPEN)
    some = listed.limit(MOST + 1).subquery()
    by_state = select(some.c.state, some.c.is_put_off, func.count())
    found, put_off = Counter[State](), 0
    for state, waits, number in session.execute(by_state.group_by(*some.c)):
        found[State(state)] += number
        put_off += number if waits else 0
    more = sum(found.values()) > MOST
    due = select(func.min(Notification.due_at)).where(IS_OPEN)
    oldest = session.scalar(due)
    tallies = [
        Tally(
            name=each,
            of=OF,
            count=Count(number=min(found[each], MOST), more=more),
        )
        for each in (State.READY, State.SENDING, State.UNKNOWN)
    ]
    ready = tallies[0]
    waiting = Count(number=put_off, more=more)
    problem = _is_late(ready.count, oldest) or _is_put_off(waiting)
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
    do = (
        "See that the mail server runs and accepts mail (or raise MAILS_PER_MINUTE, where it is set): "
        "what waits is sent by itself."
    )
    return Problem(severity=Severity.WARNING, what=what, do=do)


def _is_put_off(waiting: Count) -> Problem | None:
    if not waiting.number:
        return None
    mails = counted(waiting, "mail waits", "mails wait")
    what = f"{mails} until their address may get another: it has had as many as it gets within an hour."
    do = "Look whether somebody orders in another's name; otherwise raise MAILS_PER_HOUR."
    return Problem(severity=Severity.NOTE, what=what, do=do)


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
