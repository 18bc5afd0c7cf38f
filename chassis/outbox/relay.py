"""The relay brings what is in the outbox to the broker: claim a batch, publish it, mark it.

These are three short steps, and no transaction is open during the second. A batch whose outcome is unknown
is published again with the same ids; the consumers' inboxes know them.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, Row, and_, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.dapr.sidecar import Entry, PublishRejected, Sidecar, SidecarUnavailable
from chassis.database.unit_of_work import Database
from chassis.outbox.outbox import SIGNAL, State, outbox
from chassis.runtime import clock
from chassis.runtime.loop import Loop

_log = logging.getLogger(__name__)

BATCH = 100
"""Events in one call to the sidecar: a bulk request must stay far below the 4 MiB that daprd takes."""
LEASE = timedelta(seconds=30)
"""How long a claim holds: well above the deadline of a call to the sidecar."""
REFUSALS = 5
"""After so many refusals of its own, while others were accepted, an event is parked."""
LONGEST_WAIT = timedelta(seconds=60)
"""How long a refused event waits at most before it is tried again."""

Claimed: TypeAlias = Sequence[Row[Any]]

_FREE = {"state": State.PENDING, "owner": None, "lease_until": None}


@dataclass
class Relay:
    """Publishes one service's outbox through its sidecar, to the pub/sub component of this name."""

    database: Database
    sidecar: Sidecar
    pubsub: str
    owner: str = ""
    # After trouble, one event is tried before a whole batch is.
    probing: bool = False

    def __post_init__(self) -> None:
        """Claim as the one process of this service at its sidecar."""
        self.owner = self.owner or self.database.owner

    def loop(self) -> Loop:
        """Make the loop that keeps publishing."""
        signal = self.database.signal(SIGNAL)
        lock = self.database.lock_file("relay")
        return Loop("relay", self.step, self.reclaim, signal, lock)

    async def reclaim(self) -> None:
        """Free what an earlier process had claimed: whoever holds the loop's lock is the only such relay."""
        leased = outbox.c.state == State.LEASED
        if self.database.is_shared:  # the leases of the others run out by themselves
            leased = and_(leased, outbox.c.owner == self.owner)
        async with self.database.write() as session:
            await session.execute(update(outbox).where(leased).values(_FREE))

    async def step(self) -> bool:
        """Publish one batch; tell whether there was any. Raises SidecarUnavailable when nothing was taken."""
        async with self.database.write() as session:
            claimed = await claim(session, self.owner, probing=self.probing)
        try:
            for topic, rows in groupby(claimed, key=attrgetter("topic")):
                await self._publish(topic, list(rows))
        except SidecarUnavailable:
            # It counts for no event: all are free again, and the loop waits as a whole.
            self.probing = True
            await self._release(claimed)
            raise
        return bool(claimed)

    async def _publish(self, topic: str, rows: Claimed) -> None:
        entries = [Entry(row.event_id, row.event) for row in rows]
        refused = await self._offer(topic, entries)
        self.probing = False
        await self._mark(rows, refused)

    async def _offer(self, topic: str, entries: list[Entry]) -> dict[str, str]:
        try:
            refused = await self.sidecar.publish(self.pubsub, topic, entries)
        except PublishRejected:
            # One malformed event makes the sidecar refuse its whole batch: find out which.
            refused = await self._offer_each(topic, entries)
        if len(refused) == len(entries):
            raise SidecarUnavailable(
                f"the broker takes nothing ({next(iter(refused.values()))})"
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

    async def _release(self, rows: Claimed) -> None:
        async with self.database.write() as session:
            await session.execute(
                update(outbox).where(_fence(self.owner, rows)).values(_FREE)
            )

    async def _mark(self, rows: Claimed, refused: dict[str, str]) -> None:
        accepted = [row for row in rows if row.event_id not in refused]
        published = {
            **_FREE,
            "state": State.PUBLISHED,
            "published_at": clock.now(),
        }
        async with self.database.write() as session:
            await session.execute(
                update(outbox).where(_fence(self.owner, accepted)).values(published)
            )
            for row in rows:
                if row.event_id in refused:
                    values = _after_refusal(row, refused[row.event_id])
                    await session.execute(
                        update(outbox).where(_fence(self.owner, [row])).values(values)
                    )


async def claim(session: AsyncSession, owner: str, *, probing: bool) -> Claimed:
    """Take the oldest events that nobody has taken, for the time of a lease; of a probe, the least tried one.

    (Always the oldest, a single bad event could fail every probe and hold up all the others.)
    """
    now = clock.now()
    order = (outbox.c.attempt, outbox.c.position) if probing else (outbox.c.position,)
    batch = (
        select(outbox.c.position)
        .where(_open(now))
        .order_by(*order)
        .limit(1 if probing else BATCH)
        .with_for_update(skip_locked=True)
    )
    statement = (
        update(outbox)
        .where(outbox.c.position.in_(batch))
        .values(
            state=State.LEASED,
            owner=owner,
            attempt=outbox.c.attempt + 1,
            lease_until=now + LEASE,
        )
        .returning(outbox)
    )
    rows = (await session.execute(statement)).all()
    return sorted(rows, key=attrgetter("topic", "position"))


def _open(now: datetime) -> ColumnElement[bool]:
    # A time further ahead than it can be was written before the clock was set back: it counts as past.
    due, lease = outbox.c.due_at, outbox.c.lease_until
    longest = now + LEASE + clock.CLOCKS_APART
    return or_(
        and_(
            outbox.c.state == State.PENDING,
            or_(due.is_(None), due <= now, due > now + LONGEST_WAIT),
        ),
        and_(outbox.c.state == State.LEASED, or_(lease <= now, lease > longest)),
    )


def _fence(owner: str, rows: Claimed) -> ColumnElement[bool]:
    # Whoever's lease ran out marks nothing: the events are another's by then, at a later attempt.
    mine = or_(
        *(
            and_(outbox.c.position == row.position, outbox.c.attempt == row.attempt)
            for row in rows
        )
    )
    return and_(outbox.c.state == State.LEASED, outbox.c.owner == owner, mine)


def _after_refusal(row: Row[Any], reason: str) -> dict[str, Any]:
    refusals = row.refusals + 1
    state = State.PARKED if refusals >= REFUSALS else State.PENDING
    if state is State.PARKED:
        _log.error(
            "event %s is parked after %d refusals: %s", row.event_id, refusals, reason
        )
    due_at = clock.now() + min(LONGEST_WAIT, timedelta(seconds=2**refusals))
    return {
        **_FREE,
        "state": state,
        "refusals": refusals,
        "reason": reason,
        "due_at": due_at,
    }
