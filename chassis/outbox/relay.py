"""The relay publishes the outbox through the sidecar: lease a batch, publish it, mark it.

These are three short steps, and no transaction is open during the second. A batch whose outcome is unknown
is published again with the same ids; the consumers' inboxes know them.
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import Any, TypeAlias

from sqlalchemy import (
    Column,
    ColumnElement,
    Row,
    and_,
    bindparam,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import ReturningUpdate

from chassis.dapr import Entry, PublishRejected, Sidecar, SidecarUnavailable
from chassis.database import Database, Utc
from chassis.outbox.outbox import SIGNAL, State, is_open, outbox
from chassis.runtime import Loop, clock

_log = logging.getLogger(__name__)

BATCH = 100
"""Events that are leased at once."""
ASKED_EVERY = 60.0
"""Seconds between two looks for the broker's components: one may be loaded late, or again."""
LEAST_SHARE = 10
"""Events that are not divided among components."""
BATCH_BYTES = 2 * 1024 * 1024
"""Bytes in one call to the sidecar, far below the 4 MiB that daprd accepts."""
LEASE = timedelta(seconds=30)
"""How long a lease holds: well above the deadline of a call to the sidecar."""
MAX_REFUSALS = 5
"""After so many refusals of its own, while others were accepted, an event is parked."""
LONGEST_WAIT = timedelta(seconds=60)
"""How long a refused event waits at most before it is retried."""

Leased: TypeAlias = Sequence[Row[Any]]
Publish: TypeAlias = Callable[[Sequence[Entry]], Awaitable[dict[str, str]]]

_FREE = {"state": State.PENDING, "owner": None, "lease_until": None}


@dataclass
class Relay:
    """Publishes one service's outbox through its sidecar.

    `pubsub` names the pub/sub component. Where the sidecar has more of that name, `pubsub-2` and so on, the relay
    publishes through all of them side by side: a component may have one unconfirmed event on its way at a time.
    """

    database: Database
    sidecar: Sidecar
    pubsub: str
    owner: str = ""
    # After an outage, one event is tried before a whole batch is.
    probing: bool = False
    # The components there are, those of them in trouble, and when the sidecar was asked.
    _pubsubs: Sequence[str] = ()
    _broken: set[str] = field(default_factory=set)
    _asked_at: float = float("-inf")
    # The next batch, leased in the transaction that marked the one before.
    _leased: Leased = ()
    # A step ended in an error, and nobody knows what it has leased.
    _is_unsure: bool = False

    def __post_init__(self) -> None:
        """Lease as the one process of this service at its sidecar."""
        self.owner = self.owner or self.database.owner

    def loop(self) -> Loop:
        """Return the loop that keeps publishing."""
        signal = self.database.signal(SIGNAL)
        lock = self.database.lock_file("relay")
        expected = (SidecarUnavailable,)
        return Loop(
            "relay",
            self.step,
            self.release_own,
            signal,
            lock,
            finish=self.release,
            expected=expected,
        )

    async def release_own(self) -> None:
        """Release what an earlier process had leased: whoever holds the loop's lock is the only such relay."""
        mine = outbox.c.state == State.LEASED
        if self.database.is_shared:  # the leases of other replicas expire by themselves
            mine = and_(mine, outbox.c.owner == self.owner)
        release = update(outbox).where(mine).values(_FREE)
        await self.database.write(lambda session: session.execute(release).close())

    async def step(self) -> bool:
        """Publish what is leased; return whether more is. Raises SidecarUnavailable, even if some was accepted."""
        if self._is_unsure:
            await self.release_own()
        self._is_unsure = True
        rows = self._leased or await self.database.write(self._lease)
        self._leased = ()
        try:
            # An event that was leased alone was all there was; a commit since then has set the loop's signal.
            may_be_more = len(rows) > 1 or self.probing
            for batch in _batches(rows):
                is_last = batch[-1] is rows[-1]
                await self._publish(batch, leases=is_last and may_be_more)
        except SidecarUnavailable:
            # It counts against no event: what is not marked is free again, and the loop backs off as a whole.
            self.probing = True
            await self.database.write(lambda session: _release(session, rows))
            self._is_unsure = False
            raise
        self._is_unsure = False
        return bool(self._leased)

    async def release(self) -> None:
        """Release what is leased and not published: the loop stops."""
        if left := self._leased:
            self._leased = ()
            await self.database.write(lambda session: _release(session, left))

    async def _publish(self, rows: Leased, *, leases: bool) -> None:
        pubsubs = await self._components(len(rows))
        shares = _shares(rows, len(pubsubs))
        offers = await asyncio.gather(*map(self._offer, pubsubs, shares))
        self._broken.update(
            name for name, each in zip(pubsubs, offers, strict=False) if each.error
        )
        published = [row for each in offers for row in each.rows]
        refused = {name: why for each in offers for name, why in each.refused.items()}
        error = next((each.error for each in offers if each.error), None)
        if refused and len(refused) == len(published):
            reason = next(iter(refused.values()))
            text = f"the broker rejected every event in the batch ({reason})"
            published, error = [], SidecarUnavailable(text)
            self._broken.update(pubsubs[: len(shares)])
        self.probing = error is not None

        def mark_and_lease(session: Session) -> Leased:
            _mark(session, published, refused)
            return self._lease(session) if leases and not error else ()

        self._leased = await self.database.write(mark_and_lease)
        if error:
            raise error

    def _lease(self, session: Session) -> Leased:
        return lease(session, self.owner, probing=self.probing)

    async def _components(self, rows: int) -> Sequence[str]:
        now = clock.monotonic()
        needs_many = rows > LEAST_SHARE or self._broken
        if needs_many and now - self._asked_at >= ASKED_EVERY:
            self._pubsubs, self._asked_at = await self._find(), now
            self._broken.clear()
        working = [each for each in self._pubsubs if each not in self._broken]
        if not working:  # it is the broker, and no component of it
            self._broken.clear()
        return working or [self.pubsub]

    async def _find(self) -> Sequence[str]:
        has = (await self.sidecar.metadata()).get("components") or []
        mine = re.compile(rf"{re.escape(self.pubsub)}-\d+")
        others = (each["name"] for each in has if mine.fullmatch(each["name"]))
        return [self.pubsub, *sorted(others)]

    async def _offer(self, pubsub: str, rows: Leased) -> "_Offered":
        entries = [Entry(row.event_id, row.event) for row in rows]
        publish = partial(self.sidecar.publish, pubsub, rows[0].topic)
        try:
            refused = await publish(entries)
        except PublishRejected:
            # One malformed event makes the sidecar refuse its whole batch: find out which.
            return await _offer_each(publish, rows, entries)
        except SidecarUnavailable as error:
            return _Offered((), {}, error)
        if len(refused) == len(rows) > 1:
            # A component that has lost its broker refuses every event, each with a reason.
            reason = next(iter(refused.values()))
            text = f"{pubsub} rejected every event of its share ({reason})"
            return _Offered((), {}, SidecarUnavailable(text))
        return _Offered(rows, refused)


@dataclass(frozen=True)
class _Offered:
    """What was offered to one component and answered: the events, and why some of them were refused."""

    rows: Leased
    refused: Mapping[str, str]
    error: SidecarUnavailable | None = None


async def _offer_each(
    publish: Publish, rows: Leased, entries: Sequence[Entry]
) -> _Offered:
    refused: dict[str, str] = {}
    for done, entry in enumerate(entries):
        try:
            refused |= await publish([entry])
        except PublishRejected as error:
            refused[entry.id] = str(error)
        except SidecarUnavailable as error:
            return _Offered(rows[:done], refused, error)
    return _Offered(rows, refused)


def _leasing(*order: Column[int], limit: int) -> ReturningUpdate[Any]:
    # A CTE with FOR UPDATE is computed once: as a subquery, a nested loop might lease more than the limit.
    batch = (
        select(outbox.c.position)
        .where(is_open, _is_free())
        .order_by(*order)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("batch")
    )
    return (
        update(outbox)
        .where(outbox.c.position.in_(select(batch.c.position)))
        .values(
            state=State.LEASED,
            owner=bindparam("by"),
            attempt=outbox.c.attempt + 1,
            lease_until=bindparam("until"),
        )
        .returning(outbox)
    )


def _is_free() -> ColumnElement[bool]:
    # A time further ahead than it can be was written before the clock was set back: it counts as past.
    due, until, now = outbox.c.due_at, outbox.c.lease_until, bindparam("now", type_=Utc)
    is_due = or_(due.is_(None), due <= now, due > bindparam("latest_due"))
    is_expired = or_(until <= now, until > bindparam("latest_lease"))
    return or_(
        and_(outbox.c.state == State.PENDING, is_due),
        and_(outbox.c.state == State.LEASED, is_expired),
    )


# Built once: to build a statement costs more than to run it.
_LEASE = _leasing(outbox.c.position, limit=BATCH)
_PROBE = _leasing(outbox.c.attempt, outbox.c.position, limit=1)
# Whoever's lease ran out marks nothing: the events are another's by then, at a later attempt.
_MARK = update(outbox).where(
    outbox.c.position == bindparam("at"),
    outbox.c.state == State.LEASED,
    outbox.c.owner == bindparam("by"),
    outbox.c.attempt == bindparam("of_attempt"),
)


def lease(session: Session, owner: str, *, probing: bool) -> Leased:
    """Lease the oldest free batch; when probing, the single row with the fewest attempts.

    (Always the oldest, a single bad event could fail every probe and hold up all the others.)
    """
    now = clock.now()
    times = {
        "now": now,
        "until": now + LEASE,
        "latest_due": now + LONGEST_WAIT,
        "latest_lease": now + LEASE + clock.CLOCKS_APART,
    }
    rows = session.execute(_PROBE if probing else _LEASE, {"by": owner, **times}).all()
    return sorted(rows, key=attrgetter("topic", "position"))


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


def _shares(rows: Leased, most: int) -> list[Leased]:
    """Divide a batch among the components; a call for each event would cost more than it saves."""
    size = max(LEAST_SHARE, -(-len(rows) // most))
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def _mark(session: Session, rows: Leased, refused: Mapping[str, str]) -> None:
    _store(session, rows, [_outcome(row, refused.get(row.event_id)) for row in rows])


def _release(session: Session, rows: Leased) -> None:
    _store(session, rows, [{"state": State.PENDING}] * len(rows))


def _store(session: Session, rows: Leased, outcomes: Sequence[dict[str, Any]]) -> None:
    marks = [
        {"at": row.position, "by": row.owner, "of_attempt": row.attempt}
        | _FREE
        | outcome
        for row, outcome in zip(rows, outcomes, strict=True)
    ]
    if marks:
        session.execute(_MARK, marks)


def _outcome(row: Row[Any], refusal: str | None) -> dict[str, Any]:
    if refusal is None:
        return {
            "state": State.PUBLISHED,
            "published_at": clock.now(),
            "refusals": row.refusals,
            "reason": row.reason,
            "due_at": row.due_at,
        }
    refusals = row.refusals + 1
    state = State.PARKED if refusals >= MAX_REFUSALS else State.PENDING
    if state is State.PARKED:
        text = "event %s is parked after %d refusals: %s"
        _log.error(text, row.event_id, refusals, refusal)
    return {
        "state": state,
        "published_at": None,
        "refusals": refusals,
        "reason": refusal,
        "due_at": clock.now() + min(LONGEST_WAIT, timedelta(seconds=2**refusals)),
    }
