"""The journey of one event: what its sender's outbox, and a reaction's inbox, know of it."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field
from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from chassis.event import Timestamp
from chassis.http import View
from chassis.inbox import dead_letter as letters
from chassis.inbox.attempts import attempt
from chassis.inbox.dead_letter import dead_letter
from chassis.inbox.parse import NotAuthentic, Received, authenticate
from chassis.inbox.reaction import Arrival, inbox
from chassis.outbox.outbox import State, is_open, outbox
from chassis.runtime import telemetry
from chassis.runtime.ids import first_id

NEAR = 1000
"""Events among which one is looked for: those that the service appended from a moment on."""
SOON = timedelta(milliseconds=200)
"""How soon after its subject an event is made, where both are stored in one transaction."""
_CLOCK = timedelta(milliseconds=1)
_SUBJECT = re.compile(r'"subject": ?"([0-9a-f-]{36})"')


class StoredEvent(View):
    """An event in its sender's outbox, and where it is on its way to the broker."""

    event_id: str
    state: State
    attempt: int
    refusals: int
    reason: str | None
    created_at: Timestamp
    due_at: Timestamp | None
    published_at: Timestamp | None
    trace_id: str | None = None
    is_traced: bool = False
    fault: Annotated[
        str | None, Field(description="Why no service handles it: it was altered here")
    ] = None


class Report(View):
    """An event in its sender's outbox that says what became of something, and why."""

    event: StoredEvent
    topic: str
    outcome: str | None
    reason: str | None


class HeldLetter(View):
    """The dead letter that an event became."""

    id: int
    state: letters.State
    reason: str
    received_at: Timestamp
    replayed_at: Timestamp | None = None
    discarded_at: Timestamp | None = None
    discarded_by: str | None = None
    discarded_because: str | None = None


class Handling(View):
    """What a reaction has done about an event: when it handled it, how often it failed, the dead letter."""

    handled_at: Timestamp | None = None
    arrival: Arrival | None = None
    failures: int = 0
    dead_letter: HeldLetter | None = None


def find_event(
    session: Session, topic: str, subject: UUID, since: datetime
) -> StoredEvent | None:
    """Return the first event of a topic about this subject that was appended at that time, or soon after.

    An id begins with the time at which it was made, so that the ids' own index leads there.
    """
    first = str(first_id(since - _CLOCK))
    near = select(outbox).where(outbox.c.event_id >= first)
    rows = near.order_by(outbox.c.event_id).limit(NEAR).subquery()
    mine = rows.c.topic == topic, rows.c.event.contains(str(subject))
    found = session.execute(select(rows).where(*mine).limit(1)).first()
    return _stored(session, found) if found else None


def find_reports(session: Session, event_ids: Sequence[str]) -> list[Report]:
    """Return those of these events that are still in the outbox, in their order, with what they say."""
    mine = select(outbox).where(outbox.c.event_id.in_(event_ids))
    rows = session.execute(mine.order_by(outbox.c.position)).all() if event_ids else []
    return [
        Report(event=_stored(session, each), topic=each.topic, **_said(each.event))
        for each in rows
    ]


def _said(event: str) -> dict[str, str | None]:
    # None where the event was altered: _stored names that fault.
    found = Received.of_bytes(event.encode()).json
    data = found.get("data") if isinstance(found, dict) else None
    says = data if isinstance(data, dict) else {}
    return {name: says.get(name) for name in ("outcome", "reason")}


def _stored(session: Session, found: Row[Any]) -> StoredEvent:
    stored = Received.of_bytes(found.event.encode())
    known = {**_trace(stored), "fault": _fault(session, stored)}
    return StoredEvent.model_validate({**found._mapping, **known})


def _trace(stored: Received) -> dict[str, object]:
    event = stored.json if isinstance(stored.json, dict) else {}
    context = str(event.get("traceparent", ""))
    trace_id = context.split("-")[1] if context.count("-") == 3 else None
    return {"trace_id": trace_id, "is_traced": telemetry.is_sampled(context)}


def _fault(session: Session, stored: Received) -> str | None:
    try:
        authenticate(stored, session.info["keys"])
    except NotAuthentic as error:
        return str(error)
    return None


def find_published(
    session: Session, topic: str, subjects: Mapping[UUID, datetime]
) -> set[UUID]:
    """Return which of these subjects have an event of a topic that the broker has.

    Each was appended at its subject's time, or within SOON. Subjects of about the same time cost one statement.
    """
    found: set[UUID] = set()
    for first, last in _spans(subjects.values()):
        made = outbox.c.event_id.between(
            str(first_id(first - _CLOCK)), str(first_id(last + SOON))
        )
        is_published = outbox.c.topic == topic, outbox.c.published_at.is_not(None)
        near = select(outbox.c.event).where(made, *is_published)
        events = session.scalars(near.order_by(outbox.c.event_id).limit(NEAR))
        matches = (_SUBJECT.search(each) for each in events)
        found |= {UUID(each[1]) for each in matches if each}
    return found & subjects.keys()


def _spans(times: Iterable[datetime]) -> list[tuple[datetime, datetime]]:
    spans: list[tuple[datetime, datetime]] = []
    for each in sorted(times):
        if spans and each - spans[-1][1] <= SOON:
            spans[-1] = spans[-1][0], each
        else:
            spans.append((each, each))
    return spans


def find_oldest_open(session: Session) -> datetime | None:
    """Return when the oldest event was appended that the broker does not have yet."""
    oldest = select(outbox.c.created_at).where(is_open).order_by(outbox.c.position)
    return session.scalar(oldest.limit(1))


def find_handling(session: Session, reaction: str, event_id: str) -> Handling:
    """Return what a reaction has done about an event."""
    claim, failed, letter = (
        session.execute(
            select(each).where(each.c.reaction == reaction, each.c.event_id == event_id)
        ).first()
        for each in (inbox, attempt, dead_letter)
    )
    return Handling(
        handled_at=claim and claim.handled_at,
        arrival=claim and claim.arrival,
        failures=failed.attempts if failed else 0,
        dead_letter=letter and HeldLetter.model_validate(letter),
    )
