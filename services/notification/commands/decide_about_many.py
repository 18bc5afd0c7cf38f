"""Release or discard all notifications of a state that have one reason: decided at once, carried out in steps."""

import re
from collections.abc import Sequence
from typing import Annotated, Literal, Self
from uuid import UUID

from fastapi import Response
from pydantic import Field, model_validator
from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from chassis.database import Database, wake
from chassis.errors import Rejected
from chassis.event import Timestamp
from chassis.http import OPERATE, Created, Line, Read, Router, Unit, View, refuses
from chassis.runtime import Loop, clock
from chassis.runtime.ids import uuid7
from chassis.runtime.loop import nothing
from chassis.text import without_addresses
from services.notification import outcomes
from services.notification.commands.discard_notification import DISCARDABLE
from services.notification.commands.release_notification import (
    RELEASABLE,
    ReleaseNotification,
)
from services.notification.model import (
    IS_IN_TROUBLE,
    Decision,
    Notification,
    State,
)

router = Router(tags=["Notifications"], scope=OPERATE)

AT_ONCE = 100
"""Notifications that one transaction looks at."""
SIGNAL, DUE = "decisions", "decisions to carry out"
"""What wakes the loop that carries decisions out, and what is set while there are some."""
LOOKS_EVERY = 30.0
"""Seconds between two looks for what another process has left by its end."""
# Not short numbers: a mail server's codes say what is wrong.
_VARIES = re.compile(
    r"[^\s<>\"']+@[^\s<>\"',;:]+|\b[0-9a-f]{8}-[0-9a-f-]{27}\b|\b\d+(?:\.\d+){3}\b|\d{4,}|'[^']*'|\"[^\"]*\"",
    re.IGNORECASE,
)


class DecideAboutMany(ReleaseNotification):
    """What is decided about all notifications in a state, or those of a reason, by whom, and why."""

    act: Literal["release", "discard"]
    state: Annotated[State, Field(strict=False, examples=[State.FAILED])]
    like: Annotated[
        Line | None,
        Field(
            min_length=1,
            max_length=500,
            examples=["550 5.1.1 jane@example.org: no such user"],
            description="The reason of one of them; those are alike that differ in addresses, ids, long numbers "
            "and what is in quotes. Without it, all in this state",
        ),
    ] = None

    @model_validator(mode="after")
    def _can_be_done(self) -> Self:
        if self.state not in (RELEASABLE if self.act == "release" else DISCARDABLE):
            raise ValueError(f"to {self.act} what is {self.state} is not possible")
        return self


class DecisionMade(View):
    """A decision about many notifications, and how far it is carried out."""

    id: UUID
    act: str
    state: State
    like: str | None
    by: str
    reason: str
    made_at: Timestamp
    done: Annotated[int, Field(description="How many were released, or discarded")]
    ended_at: Annotated[
        Timestamp | None, Field(description="Null while it is carried out")
    ]


class DecisionNotFound(Rejected):
    """There is no decision with this id."""

    status = 404


def kind_of(reason: str | None) -> str:
    """Return what reasons that are alike have in common."""
    return _VARIES.sub("…", without_addresses(reason or ""))


def decide_about_many(command: DecideAboutMany, session: Session) -> Created:
    """Store a decision about the notifications that are in this state now; they are carried out in steps."""
    newest = _in_state(command.state).order_by(Notification.id.desc()).limit(1)
    now, until = clock.now(), session.scalar(newest)
    ended_at = None if until else now
    # A reason is stored without addresses, and so is what it is compared with.
    given = {
        **command.model_dump(),
        "like": command.like and without_addresses(command.like),
    }
    decision = Decision(
        id=uuid7(), made_at=now, until=until, ended_at=ended_at, **given
    )
    session.add(decision)
    session.flush()
    for each in (SIGNAL, DUE):
        wake(session, each)
    made = DecisionMade.model_validate(decision)
    return Created(made, f"notification-decision/{made.id}")


def find_newest(session: Session, most: int) -> Sequence[DecisionMade]:
    """Return the newest decisions."""
    newest = select(Decision).order_by(Decision.id.desc()).limit(most)
    return [DecisionMade.model_validate(each) for each in session.scalars(newest)]


def carry_out_some(session: Session) -> bool:
    """Release or discard some of what the oldest open decision is about; return whether there was one.

    Each is looked at once: what fails again for the same reason waits for another decision.
    """
    oldest = _open().order_by(Decision.id).limit(1)
    decision = session.scalar(oldest.with_for_update(skip_locked=True))
    if decision is None:
        return False
    some = session.execute(_next(decision)).all()
    kind = decision.like and kind_of(decision.like)
    alike = [each.id for each in some if kind is None or kind_of(each.reason) == kind]
    if alike:
        act = outcomes.release if decision.act == "release" else outcomes.discard
        act(session, Notification.id.in_(alike), decision.by, decision.reason)
    decision.done += len(alike)
    if len(some) < AT_ONCE:
        decision.ended_at = clock.now()
    else:
        decision.after = some[-1].id
    return True


def _open() -> Select[Decision]:
    return select(Decision).where(Decision.ended_at.is_(None))


def _in_state(state: State) -> Select[UUID]:
    # By the small index. Of an erased customer, nothing is decided any more.
    there = select(Notification.id).where(Notification.state == state, IS_IN_TROUBLE)
    return there.where(Notification.erased_at.is_(None))


def _next(decision: Decision) -> Select[UUID, str | None]:
    some = _in_state(decision.state).add_columns(Notification.reason)
    some = some.where(Notification.id <= decision.until)
    if decision.after:
        some = some.where(Notification.id > decision.after)
    return some.order_by(Notification.id).limit(AT_ONCE).with_for_update()


def loop(database: Database) -> Loop:
    """Return the loop that carries out what was decided; without a decision, it hardly looks."""
    is_due, looked_at = database.signal(DUE), float("-inf")

    async def step() -> bool:
        nonlocal looked_at
        now = clock.monotonic()
        if not is_due.is_set() and now - looked_at < LOOKS_EVERY:
            return False
        is_due.clear()
        looked_at, more = now, True
        try:
            more = await database.write(carry_out_some)
        finally:
            if more:
                is_due.set()
        return more

    signal, lock = database.signal(SIGNAL), database.lock_file(SIGNAL)
    return Loop(SIGNAL, step, nothing, signal, lock)


@router.post("/api/notification-decision", status_code=201, response_model=DecisionMade)
async def post_decision(command: DecideAboutMany, unit: Unit) -> Response:
    """Release or discard all notifications that are in a state now, or those of one reason.

    It is carried out in the background, some in each transaction; each keeps who decided, and why.
    """
    return await unit.run(
        lambda session: decide_about_many(command, session), alone=True
    )


@router.get("/api/notification-decision/{decisionId}")
@refuses(DecisionNotFound)
async def get_decision(decisionId: UUID, read: Read) -> DecisionMade:  # noqa: N803 - its name on the wire
    """Show a decision about many notifications, and how far it is carried out."""
    found = await read(lambda session: session.get(Decision, decisionId))
    if found is None:
        raise DecisionNotFound
    return DecisionMade.model_validate(found)
