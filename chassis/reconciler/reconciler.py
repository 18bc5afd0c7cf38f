"""The reconciler pulls from another service's feed what the inbox lacks: what the broker lost, or never has.

It is off the hot path. What is pushed is given some seconds to arrive, and compared by ids and digests alone;
what is pulled alone, or where much is missing, is taken at once and in full. Each reaction has its own place
in the feed, moved in the transaction that takes the events in.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.dapr.sidecar import Sidecar
from chassis.database.unit_of_work import Database
from chassis.event import Way
from chassis.feed.api import MOST_BY_ID
from chassis.feed.feed import MOST, Form
from chassis.inbox.inbox import AnyReaction, Arrival, inbox
from chassis.reconciler import cursor as feed_cursor
from chassis.reconciler.client import AnotherFeed, FeedClient, TakenInBefore
from chassis.reconciler.grace_period import SETTLE, WATCHED, Settling
from chassis.reconciler.page import Listed, Page
from chassis.reconciler.repair import lacking, take_in_all
from chassis.reconciler.report import Lag, RepairLog
from chassis.runtime import clock
from chassis.runtime.loop import Loop

_log = logging.getLogger(__name__)
AT_ONCE = 250
"""Events that one page has in full: while it is taken in, nothing that this service says can be pulled."""


class RebuildNeeded(Exception):
    """This database has lost what it had taken in; taken in again, it would reach customers again."""


@dataclass
class Reconciler:
    """Pulls what one reaction hears from the feed of the service that says it."""

    database: Database
    sidecar: Sidecar
    reaction: AnyReaction
    secret: str
    clock: Callable[[], float] = clock.monotonic
    settle: float | None = None
    # What a rebuild restores is up to this place; where there is one, this is that rebuild.
    rebuilt_until: str | None = None
    # Events that are compared at once by their ids, and taken in at once in full.
    batch: int = MOST
    at_once: int = AT_ONCE
    # Much is missing, as after an outage: it is taken in without waiting for the broker.
    _is_behind: bool = False
    # This database has less than it had, and takes it in again.
    _goes_back: bool = False
    _feed: FeedClient = field(init=False)
    _settling: Settling = field(init=False)
    _repairs: RepairLog = field(init=False)
    _lag: Lag = field(init=False)

    def __post_init__(self) -> None:
        """Wait for what is pushed, and for nothing else."""
        event = self.reaction.event
        self._feed = FeedClient(self.sidecar, event, self.reaction.name, self.secret)
        if self.settle is None:
            self.settle = SETTLE if event.way is Way.PUSHED else 0.0
        self._settling = Settling(self.clock, self.settle)
        self._repairs = RepairLog(event.topic())
        self._lag = Lag(self.reaction.name, event.topic(), self.clock)

    def loop(self) -> Loop:
        """Make the loop that asks once a second."""
        name = f"reconciler of {self.reaction.name}"
        signal = self.database.signal(name)
        lock = self.database.lock_file(self.reaction.name)
        # The other service may start a little later than this one.
        return Loop(name, self.step, self._begin, signal, lock, patience=15.0)

    async def _begin(self) -> None:
        """Begin with nothing: the cursor is in the database."""

    async def end(self) -> str | None:
        """Ask for the newest place of the feed, as nobody in particular; None where it is empty."""
        return await self._feed.end()

    async def step(self) -> bool:
        """Take one page in; tell whether there is more. Raises SidecarUnavailable; a rebuild, AnotherFeed."""
        async with self.database.read() as session:
            known = await feed_cursor.find(session, self.reaction.name)
            anew = self._goes_back or await self._may_begin_anew(session, known)
            await self._judge(session)
        try:
            page, limit = await self._ask(known, anew=anew)
        except AnotherFeed:
            if self.rebuilt_until and known is None:
                raise  # it is where the rebuild was to end that is not there
            await self._begin_anew(known)
            return True
        except TakenInBefore as error:
            await self._check_overtaken(known, error)
            return True
        self._goes_back = False
        if page.end:
            self._settling.note_end(page.end)
        if page.next is None or page.next == known:
            self._is_behind = False
            self._lag.end()
            return False
        return await self._compare(page, limit, known, page.next)

    async def _ask(self, known: str | None, *, anew: bool) -> tuple[Page, int]:
        if self.rebuilt_until or self._is_behind or not self.settle:
            until, limit, form = self.rebuilt_until, self.at_once, Form.FULL
        else:
            until, form = self._settling.reached(), Form.IDS
            # Without a settled end yet, only the newest one is asked for.
            limit = self.batch if until else 0
        return await self._feed.page(known, until, limit, form, anew=anew), limit

    async def _compare(
        self, page: Page, limit: int, known: str | None, onward: str
    ) -> bool:
        listed = page.listed()
        async with self.database.read() as session:
            missing = await lacking(session, self.reaction, listed)
        was_behind, self._is_behind = self._is_behind, self._is_much(missing)
        if self._is_behind and not was_behind and missing[0].event is None:
            self._lag.begin()
            return True  # and the whole of it comes with the next step
        events = await self._in_full(missing)
        try:
            async with self.database.write() as session:
                await feed_cursor.move(session, self.reaction.name, known, onward)
                taken = await take_in_all(session, self.reaction, events)
        except feed_cursor.Overtaken:
            return False
        is_full = len(listed) == limit
        self._report(events, taken, waited=not was_behind, is_full=is_full)
        return is_full

    def _is_much(self, missing: Sequence[Listed]) -> bool:
        return bool(self.settle) and len(missing) > MOST_BY_ID

    async def _in_full(self, missing: Sequence[Listed]) -> list[Listed]:
        short = [each.id for each in missing if each.event is None]
        found = await self._feed.events(short) if short else {}
        return [
            replace(each, event=found[each.id]) if each.event is None else each
            for each in missing
        ]

    async def _may_begin_anew(self, session: AsyncSession, known: str | None) -> bool:
        # With its inbox a reaction compares whatever it begins with; without one it would act again.
        if self.rebuilt_until:
            return True
        if await feed_cursor.find(session, rebuild_of(self.reaction)):
            raise RebuildNeeded("A rebuild was begun and not finished: begin it again.")
        return known is None and await _has_any(session, self.reaction)

    async def _check_overtaken(self, known: str | None, error: TakenInBefore) -> None:
        async with self.database.read() as session:
            if await feed_cursor.find(session, self.reaction.name) != known:
                return  # another process reads, too, and was faster
        if self.reaction.repeatable:
            self._goes_back = True
            _log.error("%s The feed is read again from there.", error)
            return
        raise RebuildNeeded(
            f"{error} So this database is another one, or an older one; nothing is "
            "taken from the feed before it was rebuilt (docs/architecture.md)"
        )

    async def _begin_anew(self, known: str | None) -> None:
        # Another database is behind the feed, or an older state of it. The inbox knows what it has: what
        # is there from the oldest event on is compared with it.
        _log.error(
            "the feed of %s is not the one that was read up to %s: it is read anew from its beginning",
            self.reaction.event.source,
            known,
        )
        self._settling.forget()
        async with self.database.write() as session:
            await feed_cursor.forget(session, self.reaction.name, known)

    async def _judge(self, session: AsyncSession) -> None:
        # What was pulled and then pushed was late, and is not waited for so shortly again.
        awaited = self._settling.awaited()
        if late := await _late_ones(session, self.reaction, awaited):
            self._settling.note_late(late)
            self._repairs.late(late, self._settling.age)
        self._repairs.lost(self._settling.give_up(awaited))

    def _report(
        self,
        events: Sequence[Listed],
        taken: Sequence[str],
        *,
        waited: bool,
        is_full: bool,
    ) -> None:
        if self.rebuilt_until:
            return  # nothing of this was missing: it is restored
        new = set(taken)
        brought = [each.event for each in events if each.event and each.id in new]
        # What is pulled alone is behind while there is a page more of it.
        is_behind = self._is_behind if self.settle else is_full
        self._lag.note(brought, is_behind=is_behind)
        if self.reaction.event.way is Way.PUSHED:
            self._repairs.pulled(taken)
            self._settling.note_pulled(taken, waited=waited)


async def _late_ones(
    session: AsyncSession, reaction: AnyReaction, awaited: Sequence[str]
) -> list[str]:
    is_late = inbox.c.reaction == reaction.name, inbox.c.arrival == Arrival.LATE
    ids = select(inbox.c.event_id).where(*is_late)
    late: list[str] = []
    for at in range(0, len(awaited), WATCHED):
        some = inbox.c.event_id.in_(awaited[at : at + WATCHED])
        late += await session.scalars(ids.where(some))
    return late


def rebuild_of(reaction: AnyReaction) -> str:
    """Name the place that a rebuild goes up to, which is kept until it is reached."""
    return f"rebuild of {reaction.name}"


async def _has_any(session: AsyncSession, reaction: AnyReaction) -> bool:
    mine = select(inbox.c.event_id).where(inbox.c.reaction == reaction.name)
    return await session.scalar(mine.limit(1)) is not None
