"""The reconciler pulls from another service's feed what the inbox lacks: what the broker lost, or never carries.

It is off the hot path. What is pushed has a grace period to arrive, and is compared by ids alone; what is only
pulled, or where much is missing, is handled at once and in full.
"""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import takewhile

from sqlalchemy.orm import Session

from chassis.dapr import SidecarUnavailable
from chassis.event import Delivery
from chassis.feed import FeedQuery
from chassis.feed.api import MAX_IDS
from chassis.feed.consumers import CursorRegressed
from chassis.feed.feed import MAX_ROWS, CursorExpired, FeedChanged, Form
from chassis.inbox import AnyReaction, Inbox, Start
from chassis.inbox.dead_letter import one_line
from chassis.inbox.parse import NotAuthentic
from chassis.parts import Parts
from chassis.reconciler import cursor as feed_cursor
from chassis.reconciler.client import FeedClient, Json, Page
from chassis.reconciler.cursor import BEGINNING, RESET, CursorMoved
from chassis.reconciler.grace_period import GracePeriod
from chassis.reconciler.progress import Progress
from chassis.reconciler.repair import CursorHeld, Repair, count_late, handled
from chassis.runtime import Loop, clock, metrics, telemetry
from chassis.runtime.loop import nothing

_log = logging.getLogger(__name__)

FULL_ROWS = 250
"""Events that one page has in full: while they are handled, this service's own feed waits."""
NAMED = 20
"""Events that one line of the log names by their ids."""
FAR_BEHIND = 1000
"""Events pulled without a pause after which a reaction is far behind."""


class RebuildNeeded(Exception):
    """This database has lost what it had handled; handled again, it would reach customers again."""


@dataclass
class Reconciler:
    """Pulls the events of one reaction from the feed of the service that publishes them.

    With `rebuilt_until` it is a rebuild: it reads the feed from its oldest event up to this cursor.
    """

    parts: Parts
    inbox: Inbox
    reaction: AnyReaction
    rebuilt_until: str | None = None
    clock: Callable[[], float] = clock.monotonic
    id_rows: int = MAX_ROWS
    full_rows: int = FULL_ROWS
    # Much is missing, as after an outage: it is handled without waiting for the broker.
    _is_behind: bool = False
    # This database has less than it had, and handles it again.
    _goes_back: bool = False
    # The event that is not authentic and was logged.
    _alarmed: str = ""

    def __post_init__(self) -> None:
        """Make its client, its grace period and its names."""
        event, parts = self.reaction.event, self.parts
        self._name = f"reconciler {self.reaction.name}"
        self._consumer = f"{parts.name}/{self.reaction.name}"
        self._is_pushed = event.delivery is Delivery.PUSH_AND_PULL
        self._client = FeedClient(parts.sidecar, event, parts.secret)
        self._grace = GracePeriod(self.clock)
        self.progress = Progress(self.clock)
        self._catch_up = _CatchUp(self._name, self.clock)

    @property
    def grace_period(self) -> float:
        """The seconds that an event has to arrive before it is pulled; none for what is only pulled."""
        return self._grace.seconds if self._is_pushed else 0.0

    def loop(self) -> Loop:
        """Return the loop that asks once a second."""
        database = self.parts.database
        signal = database.signal(self._name)
        lock = database.lock_file(self.reaction.name)
        loop = Loop(self._name, self.step, nothing, signal, lock)
        # The other service may start a little later than this one.
        loop.log_after = 15.0
        loop.expected = (CursorHeld, NotAuthentic, RebuildNeeded, SidecarUnavailable)
        return loop

    async def step(self) -> bool:
        """Handle one page; return whether there is more.

        Raises SidecarUnavailable, RebuildNeeded, CursorHeld, NotAuthentic; in a rebuild FeedChanged too.
        """
        known = await self._find()
        query = self._query(known)
        try:
            page = await self._client.page(query)
        except (FeedChanged, CursorExpired) as error:
            if self.rebuilt_until and known in {None, RESET}:
                raise  # the feed lacks the cursor up to which to rebuild
            await self._reset(known, error)
            return True
        except CursorRegressed as error:
            await self._check_regressed(known, error)
            return True
        self._goes_back = False
        self.progress.note(page.high_water_mark)
        if self._is_pushed and page.high_water_mark:
            self._grace.note_mark(page.high_water_mark)
        if self._starts_now(known):
            await self._move(None, page.high_water_mark or BEGINNING)
            return True
        return await self._compare(known, query, page)

    async def _find(self) -> str | None:
        name, unfinished = self.reaction.name, rebuild_of(self.reaction)
        watches = self._is_pushed and self._grace.watches()

        def find(session: Session) -> tuple[str | None, int | None]:
            if not self.rebuilt_until and feed_cursor.find(session, unfinished):
                raise RebuildNeeded(
                    "A rebuild was not finished: run it again; it continues."
                )
            late = count_late(session, name) if watches else None
            return feed_cursor.find(session, name), late

        known, late = await self.parts.database.read(find)
        if late is not None:
            new = self._grace.note_late(late)
            metrics.LATE.labels(name).inc(new)
        return known

    def _starts_now(self, known: str | None) -> bool:
        is_first = known is None and not self.rebuilt_until
        return is_first and self.reaction.start is Start.NOW

    def _query(self, known: str | None) -> FeedQuery:
        is_full = self.rebuilt_until or self._is_behind or not self._is_pushed
        until = self.rebuilt_until if is_full else self._grace.due()
        # A start now, and what waits for a mark to be due, ask for the newest mark alone.
        has_rows = not self._starts_now(known) and (is_full or until)
        rows = self.full_rows if is_full else self.id_rows
        return FeedQuery(
            topic=self.reaction.event.topic(),
            after="" if known in {None, BEGINNING, RESET} else known,
            until=until or "",
            limit=rows if has_rows else 0,
            consumer=self._consumer,
            reset=bool(self.rebuilt_until) or self._goes_back or known == RESET,
            form=Form.FULL if is_full else Form.IDS,
        )

    async def _compare(self, known: str | None, query: FeedQuery, page: Page) -> bool:
        if page.next is None or page.next == known:
            self._is_behind = False
            self._catch_up.note(0, more=False)
            return False
        if known is None and page.removed and not self.rebuilt_until:
            text = "%s: starts with the oldest event; retention has removed older ones from the feed of %s"
            _log.warning(text, self._name, self.reaction.event.source)
        listed = page.by_id()
        has = await self._handled(listed)
        missing = {each: event for each, event in listed.items() if each not in has}
        is_behind = self._is_pushed and len(missing) > MAX_IDS
        if is_behind and query.form is Form.IDS:
            self._is_behind = True
            return True  # and the next page has them in full
        repair = Repair(self.inbox, self.reaction, known, page.next)
        pulled = await self._pull(missing, repair)
        # Only now: a page in full that failed is asked for in full again, or its failures would not be in a row.
        self._is_behind, self._alarmed = is_behind, ""
        more = page.next != (query.until or page.high_water_mark)
        self._report(pulled, more=more)
        return more

    async def _pull(
        self, missing: Mapping[str, Json | None], repair: Repair
    ) -> Sequence[str]:
        short = [each for each, event in missing.items() if event is None]
        events = {**missing, **await self._client.events(short)}
        try:
            return await self._repair(repair, events)
        except CursorMoved:
            return ()  # another process has pulled the same, and was faster
        except NotAuthentic as error:
            if str(error) != self._alarmed:
                text = "%s: the feed of %s has an event that is not authentic; the cursor is held before it: %s"
                _log.error(text, self._name, self.reaction.event.source, error)
            self._alarmed = str(error)
            raise

    async def _repair(
        self, repair: Repair, events: Mapping[str, Json | None]
    ) -> Sequence[str]:
        tracer = self.parts.tracer
        if tracer is None or not events:
            return await repair.apply(events)
        traces = [str(each.get("traceparent")) for each in events.values() if each]
        span = tracer.batch("receive", self.reaction.event.topic(), traces)
        with telemetry.within(span):
            token = telemetry.delivery.set(span.context if span else "")
            try:
                return await repair.apply(events)
            finally:
                telemetry.delivery.reset(token)

    def _report(self, pulled: Sequence[str], *, more: bool) -> None:
        if self.rebuilt_until:
            return  # nothing of this was missed: it is restored
        self._catch_up.note(len(pulled), more=more)
        if not self._is_pushed or not pulled:
            return
        self._grace.note_pulled()
        metrics.REPAIRS.labels(self.reaction.name).inc(len(pulled))
        self.inbox.arrivals.note_missed(self.reaction.event.topic(), len(pulled))
        if not self._catch_up.is_far_behind:
            missed = f"{len(pulled)} {self.reaction.event.topic()} events missed by the broker"
            text = "%s: %s, pulled from the feed (%s)"
            _log.warning(text, self._name, missed, _named(pulled))

    async def _check_regressed(self, known: str | None, error: CursorRegressed) -> None:
        if await self._find() != known:
            return  # another process has pulled meanwhile
        if not self.reaction.repeatable:
            raise RebuildNeeded(
                f"{error} So this database is another one, or an older one; nothing is "
                "pulled before it is rebuilt (docs/operations.md)"
            )
        self._goes_back = True
        _log.error("%s: %s The feed is read again from there.", self._name, error)

    async def _reset(self, known: str | None, error: Exception) -> None:
        # Another database is behind the feed, or an older state of it. The inbox knows what it has.
        self._grace.forget_marks()
        if known is None:
            return
        text = "%s: the feed of %s is read again from its oldest event, for what the inbox lacks: %s"
        _log.error(text, self._name, self.reaction.event.source, error)
        is_now = self.reaction.start is Start.NOW
        await self._move(known, await self._skip_history() if is_now else RESET)

    async def _skip_history(self) -> str:
        """Return the cursor before the oldest event that the inbox has: what started NOW handles no older one."""
        query = FeedQuery(topic=self.reaction.event.topic(), form=Form.IDS)
        while True:
            page = await self._client.page(query)
            has = await self._handled(page.by_id())
            if has or page.next == page.high_water_mark:
                break
            query = query.model_copy(update={"after": page.next})
        if has:
            older = [*takewhile(lambda each: each not in has, page.by_id())]
            page = await self._client.page(
                query.model_copy(update={"limit": len(older)})
            )
        # Acknowledged before it is kept here: without a reset, it would be behind what was acknowledged.
        after = {"after": page.next or "", "limit": 0}
        reset = {"consumer": self._consumer, "reset": True}
        await self._client.page(query.model_copy(update={**after, **reset}))
        return page.next or BEGINNING

    async def _handled(self, ids: Collection[str]) -> set[str]:
        name = self.reaction.name
        return await self.parts.database.read(
            lambda session: handled(session, name, ids)
        )

    async def _move(self, old: str | None, new: str) -> None:
        name = self.reaction.name
        with suppress(CursorMoved):  # another process was faster
            await self.parts.database.write(
                lambda session: feed_cursor.move(session, name, old, new)
            )


def rebuild_of(reaction: AnyReaction) -> str:
    """Return the name of the cursor up to which a rebuild reads: it is kept until it is reached."""
    return f"rebuild of {reaction.name}"


def _named(ids: Sequence[str]) -> str:
    # Each is shortened by itself: of the line as a whole the last ids would be cut off.
    more = f" and {len(ids) - NAMED} more" if len(ids) > NAMED else ""
    return ", ".join(map(one_line, ids[:NAMED])) + more


@dataclass
class _CatchUp:
    """Events pulled without a pause: the log has a line when they have become many, and one when it is over."""

    name: str
    clock: Callable[[], float]
    _events: int = 0
    _since: float = 0.0

    @property
    def is_far_behind(self) -> bool:
        """Whether the reaction is far behind."""
        return self._events >= FAR_BEHIND

    def note(self, events: int, *, more: bool) -> None:
        """Note the events of one page, and whether there are more."""
        was_far_behind = self.is_far_behind
        self._since = self._since if self._events else self.clock()
        self._events += events
        if self.is_far_behind and not was_far_behind:
            _log.warning("%s: is far behind, and catches up without a pause", self.name)
        if not more:
            if self.is_far_behind:
                text = "%s: has caught up: %d events in %.0f s"
                _log.warning(text, self.name, self._events, self.clock() - self._since)
            self._events = 0
