"""Housekeeping keeps a service's tables bounded: what nobody needs again is deleted, a little at a time."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Delete,
    Select,
    and_,
    delete,
    func,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.database.unit_of_work import Database
from chassis.feed.consumers import feed_reader
from chassis.http.idempotency import idempotency_key, is_expired
from chassis.inbox.attempts import attempt
from chassis.inbox.dead_letter import State as LetterState
from chassis.inbox.dead_letter import dead_letter
from chassis.inbox.inbox import inbox
from chassis.outbox.outbox import State, feed, outbox
from chassis.runtime import clock
from chassis.runtime.loop import Loop

SWEEP = 60.0
"""Seconds between two rounds."""
BATCH = 500
"""Rows that are deleted in one transaction: it holds up the other writers only for a moment."""
INBOX_KEPT = timedelta(days=30)
"""How long an event that was taken in is known: longer than any broker keeps one to deliver it again."""
ATTEMPTS_KEPT = timedelta(days=1)
"""How long it is known how often an event was tried: what is not tried again within it is tried anew."""
LETTERS_KEPT = timedelta(days=30)
"""How long a dead letter stays after it was settled; one that is open stays."""

Job = Callable[[AsyncSession], Awaitable[int]]
"""Deletes a batch, and tells how many rows that were."""


@dataclass
class Housekeeping:
    """Does each of its jobs, again and again."""

    database: Database
    jobs: Sequence[Job]

    def loop(self) -> Loop:
        """Make the loop that cleans once a minute."""
        signal = self.database.signal("housekeeping")
        lock = self.database.lock_file("housekeeping")
        return Loop("housekeeping", self.step, self._begin, signal, lock, sweep=SWEEP)

    async def _begin(self) -> None:
        """Begin with nothing."""

    async def step(self) -> bool:
        """Let each job delete a batch, in a transaction of its own; tell whether there may be more."""
        deleted = []
        for job in self.jobs:
            async with self.database.write() as session:
                deleted.append(await job(session))
        return max(deleted, default=0) >= BATCH


def forget_read_events(kept: timedelta) -> Job:
    """Make the job that deletes events which are older than this and which every reader has taken in.

    A topic that nobody reads is kept: its first reader may be yet to come. What still waits for the broker,
    or was parked, is kept too. The feed remembers up to where it has gaps, and answers who asks after an
    older place that it is gone (chassis/feed.py).
    """

    async def job(session: AsyncSession) -> int:
        old = outbox.c.created_at < clock.now() - kept
        batch = _batch(and_(old, _is_done(), _is_read()))
        places = (outbox.c.transaction, outbox.c.position)
        rows = await session.execute(
            delete(outbox).where(outbox.c.position.in_(batch)).returning(*places)
        )
        gone = [tuple(row) for row in rows]
        if gone:
            await _move_the_mark(session, max(gone))
        return len(gone)

    return job


def _batch(which: ColumnElement[bool]) -> Select[Any]:
    # From the oldest on: the mark says that before it, there are gaps.
    in_order = select(outbox.c.position).where(which)
    return in_order.order_by(outbox.c.transaction, outbox.c.position).limit(BATCH)


def _is_done() -> ColumnElement[bool]:
    return outbox.c.state.in_([State.PUBLISHED, State.PULLED])


def _is_read() -> ColumnElement[bool]:
    # Below the place of each reader, whatever it reads: the event at a cursor is what the cursor is checked
    # against, and may be of any topic.
    reader = tuple_(feed_reader.c.transaction, feed_reader.c.position)
    not_beyond = reader <= tuple_(outbox.c.transaction, outbox.c.position)
    held_up = select(feed_reader.c.reader).where(not_beyond).exists()
    somebody = feed_reader.c.topic == outbox.c.topic
    return and_(select(feed_reader.c.reader).where(somebody).exists(), ~held_up)


async def _move_the_mark(session: AsyncSession, place: tuple[int, int]) -> None:
    there = tuple_(feed.c.gone_transaction, feed.c.gone_position)
    values = dict(zip(("gone_transaction", "gone_position"), place, strict=True))
    await session.execute(update(feed).where(there < place).values(values))


async def forget_taken_in(session: AsyncSession) -> int:
    """Delete the keys of events that were taken in long ago, and not those that a dead letter holds."""
    old = inbox.c.taken_at < clock.now() - INBOX_KEPT
    keys = tuple_(inbox.c.reaction, inbox.c.event_id)
    its_event = dead_letter.c.event_id == inbox.c.event_id
    holds = and_(its_event, dead_letter.c.reaction == inbox.c.reaction)
    free = and_(old, ~select(dead_letter.c.id).where(holds).exists())
    batch = select(inbox.c.reaction, inbox.c.event_id).where(free).limit(BATCH)
    return await _count(session, delete(inbox).where(keys.in_(batch)))


async def forget_attempts(session: AsyncSession) -> int:
    """Delete the attempts at events that were taken in since, or that nobody has tried for long."""
    # Not where the event is taken in: that would cost each event a statement, for the sake of a few.
    mine = and_(
        inbox.c.reaction == attempt.c.reaction, inbox.c.event_id == attempt.c.event_id
    )
    taken = select(inbox.c.event_id).where(mine).exists()
    old = attempt.c.tried_at < clock.now() - ATTEMPTS_KEPT
    key = (attempt.c.reaction, attempt.c.event_id)
    batch = select(*key).where(or_(taken, old)).limit(BATCH)
    return await _count(session, delete(attempt).where(tuple_(*key).in_(batch)))


async def forget_settled_letters(session: AsyncSession) -> int:
    """Delete dead letters that were settled long ago."""
    until = clock.now() - LETTERS_KEPT
    batch = select(dead_letter.c.id).where(_is_settled_before(until)).limit(BATCH)
    return await _count(session, delete(dead_letter).where(dead_letter.c.id.in_(batch)))


def _is_settled_before(moment: datetime) -> ColumnElement[bool]:
    settled = dead_letter.c.state != LetterState.OPEN
    when = func.coalesce(dead_letter.c.replayed_at, dead_letter.c.discarded_at)
    return and_(settled, when < moment)


async def forget_expired(session: AsyncSession) -> int:
    """Delete the keys of requests whose answers are known no longer."""
    which = (idempotency_key.c.scope, idempotency_key.c.key)
    batch = select(*which).where(is_expired()).limit(BATCH)
    expired = delete(idempotency_key).where(tuple_(*which).in_(batch))
    return await _count(session, expired)


async def _count(session: AsyncSession, statement: Delete) -> int:
    deleted = await session.execute(statement)
    return int(getattr(deleted, "rowcount", 0))
