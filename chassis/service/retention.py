"""Retention keeps a service's tables bounded: what nobody needs again is deleted, in small batches."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import inf
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Table,
    and_,
    delete,
    func,
    literal,
    or_,
    select,
    true,
    tuple_,
    update,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from chassis.database import Database, is_unavailable, partitions
from chassis.dead_letters.history import action
from chassis.dead_letters.runs import run
from chassis.feed.consumers import consumer
from chassis.http.idempotency import idempotency_key, is_expired
from chassis.inbox.attempts import attempt
from chassis.inbox.dead_letter import State as LetterState
from chassis.inbox.dead_letter import dead_letter, group
from chassis.inbox.parse import REMEMBERED
from chassis.inbox.reaction import inbox
from chassis.outbox.outbox import State, feed, outbox
from chassis.pages.session import page_session
from chassis.runtime import Loop, clock
from chassis.runtime.loop import nothing

INTERVAL = 60.0
"""Seconds between two rounds."""
BATCH = 500
"""Rows that are deleted in one transaction: it holds up the other writers only for a moment."""
LOOKS = 600.0
"""Seconds between two looks at the partitions."""
DROPPED_WITHIN = timedelta(hours=1)
"""A partition that is still there after so long is deleted from row by row."""
ATTEMPTS_KEPT = timedelta(days=1)
"""How long attempts at an event are remembered: one that is not retried within it starts from one."""
LETTERS_KEPT = timedelta(days=30)
"""How long a dead letter stays after it was received and settled; one that is open stays."""

_PLACE = (outbox.c.transaction, outbox.c.position)
_ALL = true()

Job = Callable[[Session], int]
"""Deletes a batch, and returns how many rows that were."""


@dataclass
class Retention:
    """Deletes what has expired, of every table, again and again; events after `days`.

    On PostgreSQL it also makes partitions ahead of their time, and drops those of which nothing is needed.
    """

    database: Database
    days: float
    _looks_at: float = -inf
    _beside: Sequence[ColumnElement[bool]] = (_ALL, _ALL)

    def loop(self) -> Loop:
        """Return the loop that runs once a minute."""
        signal = self.database.signal("retention")
        lock = self.database.lock_file("retention")
        return Loop("retention", self.step, nothing, signal, lock, interval=INTERVAL)

    async def step(self) -> bool:
        """Delete a batch of each table, in a transaction of its own; return whether there may be more."""
        kept = timedelta(days=self.days)
        if self.database.is_shared and clock.monotonic() >= self._looks_at:
            await self._change_partitions(kept)
        events, keys = self._beside
        jobs: list[Job] = [
            lambda session: delete_acknowledged_events(session, kept, events),
            lambda session: delete_old_inbox_keys(session, keys),
            delete_old_attempts,
            delete_settled_letters,
            delete_expired_keys,
            delete_ended_sessions,
        ]
        deleted = [await self.database.write(job) for job in jobs]
        return max(deleted) >= BATCH

    async def _change_partitions(self, kept: timedelta) -> None:
        for job in (
            lambda session: partitions.make_ahead(session, outbox),
            lambda session: partitions.make_ahead(session, inbox),
            lambda session: drop_event_partition(session, kept),
            drop_key_partition,
        ):
            while await self._change(job):
                pass
        self._beside = await self.database.read(lambda session: _beside(session, kept))
        self._looks_at = clock.monotonic() + LOOKS

    async def _change(self, job: Job) -> int:
        try:
            return await self.database.write(
                lambda session: partitions.changing(session) and job(session)
            )
        except DBAPIError as error:
            if not is_unavailable(error):
                raise
            return 0  # somebody uses the table for long just now: at the next look


def _beside(session: Session, kept: timedelta) -> tuple[ColumnElement[bool], ...]:
    ages = ((outbox, kept), (inbox, REMEMBERED))
    return tuple(
        partitions.beside(session, table, clock.now() - age - DROPPED_WITHIN)
        for table, age in ages
    )


def delete_acknowledged_events(
    session: Session, kept: timedelta, beside: ColumnElement[bool] = _ALL
) -> int:
    """Delete events that are older than this and that every consumer has acknowledged; of those, what is beside.

    A topic without consumers is kept: its first one may be yet to come. What still waits for the broker, or
    was parked, is kept too. The feed remembers up to where it has gaps, and answers 410 to an older cursor.
    """
    where = and_(_is_deletable_event(kept), beside)
    places = _delete(session, outbox, where, outbox.c.created_at, *_PLACE)
    if places:
        _move_the_mark(session, max(places))
    return len(places)


def _is_deletable_event(kept: timedelta) -> ColumnElement[bool]:
    old = outbox.c.created_at < clock.now() - kept
    return and_(old, _is_done(), _is_acknowledged())


def _is_done() -> ColumnElement[bool]:
    return outbox.c.state.in_([State.PUBLISHED, State.PULL_ONLY])


def _is_acknowledged() -> ColumnElement[bool]:
    # Below the offset of each consumer, whatever its topic: the event at a cursor is what the cursor is
    # checked against, and may be of any topic.
    offset = tuple_(consumer.c.transaction, consumer.c.position)
    not_beyond = offset <= tuple_(*_PLACE)
    held_up = select(consumer.c.consumer).where(not_beyond).exists()
    of_topic = select(consumer.c.consumer).where(consumer.c.topic == outbox.c.topic)
    return and_(of_topic.exists(), ~held_up)


def _move_the_mark(session: Session, place: tuple[int, ...]) -> None:
    names = ("removed_transaction", "removed_position")
    mark = tuple_(*(feed.c[name] for name in names))
    values = dict(zip(names, place, strict=True))
    session.execute(update(feed).where(mark < place).values(values))


def drop_event_partition(session: Session, kept: timedelta) -> int:
    """Drop the oldest partition of the outbox of which nothing is needed; return how many that were, 0 or 1."""
    part = _find_spent(session, outbox, kept, _is_deletable_event(kept))
    if part:
        newest = [each.desc() for each in _PLACE]
        places = select(*_PLACE).where(partitions.within(outbox, part))
        if place := session.execute(places.order_by(*newest).limit(1)).first():
            _move_the_mark(session, (place[0], place[1]))
        partitions.drop(session, part)
    return int(part is not None)


def drop_key_partition(session: Session) -> int:
    """Drop the oldest partition of the inbox of which nothing is needed; return how many that were, 0 or 1."""
    part = _find_spent(session, inbox, REMEMBERED, _is_deletable_key())
    if part:
        partitions.drop(session, part)
    return int(part is not None)


def _find_spent(
    session: Session, table: Table, kept: timedelta, deletable: ColumnElement[bool]
) -> partitions.Partition | None:
    until = partitions.bound(clock.now() - kept)
    for part in partitions.find(session, table):
        if part.upper > until:
            break
        partitions.freeze(session, part)
        rows = select(literal(1)).select_from(table)
        needed = rows.where(partitions.within(table, part), ~deletable).limit(1)
        if session.scalar(needed) is None:
            return part
    return None


def delete_old_inbox_keys(session: Session, beside: ColumnElement[bool] = _ALL) -> int:
    """Delete the keys of events that were handled long ago, but not those that a dead letter holds."""
    where = and_(_is_deletable_key(), beside)
    return len(_delete(session, inbox, where, inbox.c.handled_at))


def _is_deletable_key() -> ColumnElement[bool]:
    its_event = dead_letter.c.event_id == inbox.c.event_id
    holds = and_(its_event, dead_letter.c.reaction == inbox.c.reaction)
    held = select(dead_letter.c.id).where(holds).exists()
    return and_(inbox.c.handled_at < clock.now() - REMEMBERED, ~held)


def delete_old_attempts(session: Session) -> int:
    """Delete the attempts at events that were handled since, or that nobody has retried for long."""
    # Not where the event is handled: that would cost each event a statement, for the sake of a few.
    its_event = inbox.c.event_id == attempt.c.event_id
    handled = and_(its_event, inbox.c.reaction == attempt.c.reaction)
    old = attempt.c.attempted_at < clock.now() - ATTEMPTS_KEPT
    done = or_(select(inbox.c.event_id).where(handled).exists(), old)
    return len(_delete(session, attempt, done, attempt.c.attempted_at))


def delete_settled_letters(session: Session) -> int:
    """Delete dead letters that were settled long ago."""
    received_at = dead_letter.c.received_at
    ended = func.coalesce(dead_letter.c.replayed_at, dead_letter.c.discarded_at)
    until = clock.now() - LETTERS_KEPT
    settled = dead_letter.c.state != LetterState.OPEN
    old = and_(settled, received_at < until, ended < until)
    letters = [letter for (letter,) in _delete(session, dead_letter, old, received_at)]
    if letters:
        _forget(session, letters, until)
    return len(letters)


def _forget(session: Session, letters: Sequence[int], until: datetime) -> None:
    # What was done to them, by whom; runs that ended long ago; groups that have no letter any more.
    left = select(dead_letter.c.id).where(
        dead_letter.c.fingerprint == group.c.fingerprint
    )
    for statement in (
        delete(action).where(action.c.letter_id.in_(letters)),
        delete(run).where(run.c.ended_at < until),
        delete(group).where(~left.exists()),
    ):
        session.execute(statement)


def delete_expired_keys(session: Session) -> int:
    """Delete the Idempotency-Keys whose answers are remembered no longer."""
    # Two ranges of their age, past and too far ahead: ordered, the whole index would be read for them.
    return len(_delete(session, idempotency_key, is_expired(), None))


def delete_ended_sessions(session: Session) -> int:
    """Delete the sessions of pages that have expired."""
    expires_at = page_session.c.expires_at
    ended = expires_at < clock.now()
    return len(_delete(session, page_session, ended, expires_at))


def _delete(
    session: Session,
    table: Table,
    where: ColumnElement[bool],
    oldest: ColumnElement[Any] | None,
    *returned: ColumnElement[Any],
) -> list[tuple[Any, ...]]:
    # By the index on its age: in any other order each round would read the whole table.
    key = table.primary_key.columns
    batch = select(*key).where(where).order_by(oldest).limit(BATCH)
    deleted = delete(table).where(tuple_(*key).in_(batch))
    rows = session.execute(deleted.returning(*(returned or key)))
    return [tuple(row) for row in rows]
