"""The relay publishes the outbox through the sidecar: lease a batch, publish it, mark it.

These are three short steps, and no transaction is open during the second. A batch whose outcome is unknown
is published again with the same ids; the consumers' inboxes know them.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, Row, and_, false, or_, select, update
from sqlalchemy.orm import Session

from chassis.dapr import Entry, PublishRejected, Sidecar, SidecarUnavailable
from chassis.database import Database
from chassis.outbox.outbox import SIGNAL, State, is_open, outbox
from chassis.runtime import Loop, clock

_log = logging.getLogger(__name__)

BATCH = 100
"""Events that are leased at once."""
BATCH_BYTES = 2 * 1024 * 1024
"""Bytes in one call to the sidecar, far below the 4 MiB that daprd accepts."""
LEASE = timedelta(seconds=30)
"""How long a lease holds: well above the deadline of a call to the sidecar."""
MAX_REFUSALS = 5
"""After so many refusals of its own, while others were accepted, an event is parked."""
LONGEST_WAIT = timedelta(seconds=60)
"""How long a refused event waits at most before it is retried."""

Leased: TypeAlias = Sequence[Row[Any]]

_FREE = {"state": State.PENDING, "owner": None, "lease_until": None}


@dataclass
class Relay:
    """Publishes one service's outbox through its sidecar, to the pub/sub component of this name."""

    database: Database
    sidecar: Sidecar
    pubsub: str
    owner: str = ""
    # After an outage, one event is tried before a whole batch is.
    probing: bool = False

    def __post_init__(self) -> None:
        """Lease as the one process of this service at its sidecar."""
        self.owner = self.owner or self.database.owner

    def loop(self) -> Loop:
        """Return the loop that keeps publishing."""
        signal = self.database.signal(SIGNAL)
        lock = self.database.lock_file("relay")
        expected = (SidecarUnavailable,)
        return Loop(
            "relay", self.step, self.release_own, signal, lock, expected=expected
        )

    async def release_own(self) -> None:
        """Release what an earlier process had leased: whoever holds the loop's lock is the only such relay."""
        mine = outbox.c.state == State.LEASED
        if self.database.is_shared:  # the leases of other replicas expire by themselves
            mine = and_(mine, outbox.c.owner == self.owner)
        await self.database.write(lambda session: _release(session, mine))

    async def step(self) -> bool:
        """Publish one batch; return whether there was any. Raises SidecarUnavailable when nothing was accepted."""
        leased = await self.database.write(
            lambda session: lease(session, self.owner, probing=self.probing)
        )
        left = list(leased)
        try:
            for batch in _batches(leased):
                await self._publish(batch)
                left = left[len(batch) :]
        except SidecarUnavailable:
            # It counts against no event: all are free again, and the loop backs off as a whole.
            self.probing = True
            mine = _fence(self.owner, left)
            await self.database.write(lambda session: _release(session, mine))
            raise
        return bool(leased)

    async def _publish(self, rows: Leased) -> None:
        entries = [Entry(row.event_id, row.event) for row in rows]
        refused = await self._offer(rows[0].topic, entries)
        self.probing = False
        await self.database.write(
            lambda session: _mark(session, self.owner, rows, refused)
        )

    async def _offer(self, topic: str, entries: list[Entry]) -> dict[str, str]:
        try:
            refused = await self.sidecar.publish(self.pubsub, topic, entries)
        except PublishRejected:
            # One malformed event makes the sidecar refuse its whole batch: find out which.
            refused = await self._offer_each(topic, entries)
        if len(refused) == len(entries):
            reason = next(iter(refused.values()))
            raise SidecarUnavailable(
                f"the broker rejected every event in the batch ({reason})"
            )
        return refused

    async def _offer_each(self, topic: str, entries: list[Entry]) -> dict[str, str]:
        refused: dict[str, str] = {}
        for entry in entries:
            try:
                refused |= await self.sidecar.publish(self.pubsub, topic, [entry])
            except PublishRejected as error:
                refused[entry.id] = str(error)
        return refused


def lease(session: Session, owner: str, *, probing: bool) -> Leased:
    """Lease the oldest free batch; when probing, the single row with the fewest attempts.

    (Always the oldest, a single bad event could fail every probe and hold up all the others.)
    """
    now = clock.now()
    order = (outbox.c.attempt, outbox.c.position) if probing else (outbox.c.position,)
    # A CTE with FOR UPDATE is computed once: as a subquery, a nested loop might lease more than the limit.
    batch = (
        select(outbox.c.position)
        .where(is_open, _is_free(now))
        .order_by(*order)
        .limit(1 if probing else BATCH)
        .with_for_update(skip_locked=True)
        .cte("batch")
    )
    statement = (
        update(outbox)
        .where(outbox.c.position.in_(select(batch.c.position)))
        .values(
            state=State.LEASED,
            owner=owner,
            attempt=outbox.c.attempt + 1,
            lease_until=now + LEASE,
        )
        .returning(outbox)
    )
    rows = session.execute(statement).all()
    return sorted(rows, key=attrgetter("topic", "position"))


def _is_free(now: datetime) -> ColumnElement[bool]:
    # A time further ahead than it can be was written before the clock was set back: it counts as past.
    due, until = outbox.c.due_at, outbox.c.lease_until
    longest = now + LEASE + clock.CLOCKS_APART
    return or_(
        and_(
            outbox.c.state == State.PENDING,
            or_(due.is_(None), due <= now, due > now + LONGEST_WAIT),
        ),
        and_(outbox.c.state == State.LEASED, or_(until <= now, until > longest)),
    )


def _batches(leased: Leased) -> Iterator[list[Row[Any]]]:
    for _, rows in groupby(leased, key=attrgetter("topic")):
        batch: list[Row[Any]] = []
        size = 0
        for row in rows:
            if batch and size + row.size > BATCH_BYTES:
                yield batch
                batch, size = [], 0
            batch.append(row)
            size += row.size
        yield batch


def _fence(owner: str, rows: Leased) -> ColumnElement[bool]:
    # Whoever's lease ran out marks nothing: the events are another's by then, at a later attempt.
    mine = or_(
        false(),
        *(
            and_(outbox.c.position == row.position, outbox.c.attempt == row.attempt)
            for row in rows
        ),
    )
    return and_(outbox.c.state == State.LEASED, outbox.c.owner == owner, mine)


def _release(session: Session, which: ColumnElement[bool]) -> None:
    session.execute(update(outbox).where(which).values(_FREE))


def _mark(session: Session, owner: str, rows: Leased, refused: dict[str, str]) -> None:
    accepted = [row for row in rows if row.event_id not in refused]
    published = {**_FREE, "state": State.PUBLISHED, "published_at": clock.now()}
    marked = update(outbox).where(_fence(owner, accepted)).values(published)
    session.execute(marked)
    for row in rows:
        if row.event_id in refused:
            values = _after_refusal(row, refused[row.event_id])
            session.execute(update(outbox).where(_fence(owner, [row])).values(values))


def _after_refusal(row: Row[Any], reason: str) -> dict[str, Any]:
    refusals = row.refusals + 1
    state = State.PARKED if refusals >= MAX_REFUSALS else State.PENDING
    if state is State.PARKED:
        text = "event %s is parked after %d refusals: %s"
        _log.error(text, row.event_id, refusals, reason)
    due_at = clock.now() + min(LONGEST_WAIT, timedelta(seconds=2**refusals))
    return {
        **_FREE,
        "state": state,
        "refusals": refusals,
        "reason": reason,
        "due_at": due_at,
    }
