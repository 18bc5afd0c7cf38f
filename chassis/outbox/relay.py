"""The relay publishes the outbox through the sidecar: take a batch, publish it, mark it.

What this process stores comes leased by its commit (RelayQueue); the rest is leased from the table. No transaction
is open while the sidecar is called. A batch whose outcome is unknown is published again with the same ids; the
consumers' inboxes know them.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import TypeAlias

from sqlalchemy.orm import Session

from chassis.dapr import Entry, PublishRejected, Sidecar, SidecarUnavailable
from chassis.database import Database
from chassis.outbox.leases import BATCH, is_any_free, lease, mark, release
from chassis.outbox.outbox import SIGNAL, Leased, RelayQueue
from chassis.runtime import Loop, clock, metrics, telemetry
from chassis.runtime.telemetry import Span, Tracer

LEAST_SHARE = 10
"""A batch of so many events, or fewer, is not divided among components."""
BATCH_BYTES = 2 * 1024 * 1024
"""Bytes in one call to the sidecar, far below the 4 MiB that daprd accepts."""

Publish: TypeAlias = Callable[[Sequence[Entry]], Awaitable[dict[str, str]]]


@dataclass
class Relay:
    """Publishes one service's outbox through its sidecar.

    `pubsub` names the pub/sub component. Where the sidecar has more of that name, `pubsub-2` and so on, the relay
    publishes through all of them side by side: a component may allow only one unconfirmed event at a time.
    """

    database: Database
    sidecar: Sidecar
    pubsub: str
    # Seconds after which it looks into the table, however much comes to it from memory.
    looks_every: float = 1.0
    # Seconds between two looks for the broker's components: one may be loaded late, or again.
    asks_every: float = 60.0
    # After an outage, one event is tried before a whole batch is.
    probing: bool = False
    # The components there are, those of them in trouble, and when the sidecar was asked.
    _pubsubs: Sequence[str] = ()
    _broken: set[str] = field(default_factory=set)
    _asked_at: float = float("-inf")
    _looked_at: float = float("-inf")
    # A step ended in an error, and nobody knows what it has leased.
    _is_unsure: bool = False

    def __post_init__(self) -> None:
        """Lease as the one process of this service at its sidecar."""
        self.owner = self.database.owner
        self.queue = RelayQueue(self.owner)
        self.database.info["relay"] = self.queue

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
            finish=self.release_own,
            expected=expected,
        )

    async def release_own(self) -> None:
        """Release whatever is leased: whoever holds the loop's lock is the only such relay."""
        self._doubt()
        # The leases of other replicas expire by themselves.
        owner = self.owner if self.database.is_shared else None
        await self.database.write(lambda session: release(session, owner))
        # What came meanwhile is released too; what another writer stores just then is found as LOST (leases.py).
        self.queue.events.clear()
        self._is_unsure = False

    async def step(self) -> bool:
        """Publish a batch; return whether there may be more.

        Raises SidecarUnavailable, also where a part of the batch was accepted.
        """
        if self._is_unsure:
            await self.release_own()
        try:
            await self._look()
            events = self.queue.take(BATCH)
            for batch in _batches(events):
                await self._publish(batch)
        except SidecarUnavailable:
            # It counts against no event: what is not marked is free again, and the loop backs off as a whole.
            self.probing = True
            await self.release_own()
            raise
        except BaseException:
            self._doubt()
            raise
        may_be_more = bool(self.queue.events) or not self.queue.is_open
        return may_be_more and bool(events)

    def _doubt(self) -> None:
        self._is_unsure, self.queue.is_open = True, False

    async def _look(self) -> None:
        now = clock.monotonic()
        holds_none = not self.queue.events
        if not holds_none and now - self._looked_at < self.looks_every:
            return
        self._looked_at = now

        def is_any(session: Session) -> bool:
            return is_any_free(session, self.owner, holds_none=holds_none)

        def leased(session: Session) -> list[Leased]:
            owner, probing = self.owner, self.probing
            return lease(session, owner, probing=probing, holds_none=holds_none)

        # Mostly nothing is there: a reader finds that, and holds up nobody who writes.
        is_there = await self.database.read(is_any)
        found = await self.database.write(leased) if is_there else []
        # Not while the table holds more: it is older than what comes, and would wait for a pause.
        self.queue.is_open = not self.probing and len(found) < BATCH
        self.queue.add(found)

    async def _publish(self, events: Sequence[Leased]) -> None:
        pubsubs = await self._components(len(events))
        shares = _shares(events, len(pubsubs))
        offers = await asyncio.gather(*map(self._offer, pubsubs, shares))
        self._broken.update(
            name for name, each in zip(pubsubs, offers, strict=False) if each.error
        )
        published = [event for each in offers for event in each.events]
        refused = {name: why for each in offers for name, why in each.refused.items()}
        error = next((each.error for each in offers if each.error), None)
        if refused and len(refused) == len(published):
            reason = next(iter(refused.values()))
            text = f"the broker rejected every event in the batch ({reason})"
            published, error = [], SidecarUnavailable(text)
            self._broken.update(pubsubs[: len(shares)])
        self.probing = error is not None
        if published:
            topic, refusals = events[0].topic, len(refused)
            metrics.of(metrics.PUBLISHED, topic, "").inc(len(published) - refusals)
            metrics.of(metrics.PUBLISHED, topic, "refused").inc(refusals)
            marks = partial(mark, events=published, refused=refused)
            await self.database.write(marks)
        if error:
            raise error

    async def _components(self, number: int) -> Sequence[str]:
        now = clock.monotonic()
        needs_many = number > LEAST_SHARE or self._broken
        if needs_many and now - self._asked_at >= self.asks_every:
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

    def _span(self, events: Sequence[Leased]) -> Span | None:
        tracer: Tracer | None = self.database.info.get("tracer")
        if tracer is None:
            return None
        traces = [telemetry.trace_of(each.event) for each in events]
        return tracer.batch("send", events[0].topic, traces)

    async def _offer(self, pubsub: str, events: Sequence[Leased]) -> "_Offered":
        entries = [Entry(each.event_id, each.event) for each in events]
        publish = partial(self.sidecar.publish, pubsub, events[0].topic)
        try:
            with (
                telemetry.within(self._span(events)),
                metrics.timed(metrics.CALLS, "send", events[0].topic),
            ):
                refused = await publish(entries)
        except PublishRejected:
            # One malformed event makes the sidecar refuse its whole batch: find out which.
            return await _offer_each(publish, events, entries)
        except SidecarUnavailable as error:
            return _Offered((), {}, error)
        if len(refused) == len(events) > 1:
            # A component that has lost its broker refuses every event, each with a reason.
            reason = next(iter(refused.values()))
            text = f"{pubsub} rejected every event of its share ({reason})"
            return _Offered((), {}, SidecarUnavailable(text))
        return _Offered(events, refused)


@dataclass(frozen=True)
class _Offered:
    """What was offered to one component and answered: the events, and why some of them were refused."""

    events: Sequence[Leased]
    refused: Mapping[str, str]
    error: SidecarUnavailable | None = None


async def _offer_each(
    publish: Publish, events: Sequence[Leased], entries: Sequence[Entry]
) -> _Offered:
    refused: dict[str, str] = {}
    for done, entry in enumerate(entries):
        try:
            refused |= await publish([entry])
        except PublishRejected as error:
            refused[entry.id] = str(error)
        except SidecarUnavailable as error:
            return _Offered(events[:done], refused, error)
    return _Offered(events, refused)


def _batches(leased: Sequence[Leased]) -> Iterator[list[Leased]]:
    by_topic = attrgetter("topic")
    for _, events in groupby(sorted(leased, key=by_topic), key=by_topic):
        batch: list[Leased] = []
        size = 0
        for each in events:
            if batch and size + each.size > BATCH_BYTES:
                yield batch
                batch, size = [], 0
            batch.append(each)
            size += each.size
        yield batch


def _shares(events: Sequence[Leased], most: int) -> list[Sequence[Leased]]:
    """Divide a batch among the components; a call for each event would cost more than it saves."""
    size = max(LEAST_SHARE, -(-len(events) // most))
    return [events[start : start + size] for start in range(0, len(events), size)]
