"""The reconciler pulls from another service's feed what the inbox lacks: what the broker lost, or never has.

It is off the hot path. What is pushed is given some seconds to arrive; what is pulled alone is taken at once.
Each reaction has its own place in the feed, moved in the transaction that takes the events in.
"""

import json
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    select,
)
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import ambient, feed_cursor
from chassis.database import Database
from chassis.database_away import is_away
from chassis.feed import FeedChanged, FeedGone
from chassis.feed_page import Page, read_page
from chassis.feed_reader import ReaderWentBack
from chassis.inbox import AnyReaction, act_once, give_up, inbox
from chassis.loop import Loop
from chassis.sidecar import Answer, Sidecar, SidecarUnavailable
from contracts.event import Way

_log = logging.getLogger(__name__)

SETTLE = 3.0
"""Seconds that an event which is pushed has, to arrive by itself."""
BATCH = 1000
"""Events that are asked for in one call."""


class RebuildNeeded(Exception):
    """This database has lost what it had taken in; taken in again, it would reach customers again."""


@dataclass
class Reconciler:
    """Pulls what one reaction hears from the feed of the service that says it."""

    database: Database
    sidecar: Sidecar
    reaction: AnyReaction
    secret: str
    clock: Callable[[], float] = ambient.monotonic
    settle: float | None = None
    # What a rebuild restores is up to this place; where there is one, this is that rebuild.
    rebuilt_until: str | None = None
    batch: int = BATCH
    _ends: deque[tuple[float, str]] = field(default_factory=deque)
    _until: str | None = None

    def __post_init__(self) -> None:
        """Wait for what is pushed, and for nothing else."""
        if self.settle is None:
            self.settle = SETTLE if self.reaction.event.way is Way.PUSHED else 0.0

    def loop(self) -> Loop:
        """Make the loop that asks once a second."""
        name = f"reconciler of {self.reaction.name}"
        signal = self.database.signal(name)
        lock = self.database.lock_file(self.reaction.name)
        # The other service may start a little later than this one.
        return Loop(name, self.step, self._begin, signal, lock, patience=15.0)

    async def _begin(self) -> None:
        """Begin with nothing: the cursor is in the database."""

    async def step(self) -> bool:
        """Take one page in; tell whether there is more. Raises SidecarUnavailable."""
        async with self.database.read() as session:
            known = await feed_cursor.find(session, self.reaction.name)
            anew = await self._may_begin_anew(session, known)
        page = await self._ask(known, self._settled(), anew=anew)
        if page is None:
            return True
        if page.end and self.settle:
            self._ends.append((self.clock(), page.end))
        if page.next in (None, known):
            return False
        try:
            async with self.database.write() as session:
                await feed_cursor.move(session, self.reaction.name, known, page.next)
                lost = await _take_in(session, self.reaction, page.events)
        except feed_cursor.Overtaken:
            return False
        self._report(lost)
        return len(page.events) == self.batch

    async def _may_begin_anew(self, session: AsyncSession, known: str | None) -> bool:
        # With its inbox a reaction compares whatever it begins with; without one it would act again.
        if self.rebuilt_until:
            return True
        if await feed_cursor.find(session, rebuild_of(self.reaction)):
            raise RebuildNeeded("A rebuild was begun and not finished: begin it again.")
        return known is None and await _has_any(session, self.reaction)

    async def end(self) -> str | None:
        """Ask for the newest place of the feed, as nobody in particular; None where it is empty."""
        query = {"topic": self.reaction.event.topic(), "limit": "0"}
        answer = await self._get(query)
        return read_page(answer, self.reaction.event.source, None).end

    def _settled(self) -> str | None:
        """Give the newest end that was reported so long ago that what is before it should be here."""
        if self.rebuilt_until:
            return self.rebuilt_until
        while self._ends and self.clock() - self._ends[0][0] >= (self.settle or 0):
            self._until = self._ends.popleft()[1]
        return self._until

    async def _ask(
        self, known: str | None, until: str | None, *, anew: bool
    ) -> Page | None:
        event = self.reaction.event
        # Without a settled end yet, only the newest one is asked for.
        limit = self.batch if until or not self.settle else 0
        query = {
            "topic": event.topic(),
            "after": known or "",
            "until": until or "",
            "limit": str(limit),
            "reader": self.reaction.name,
            **({"anew": "true"} if anew else {}),
        }
        answer = await self._get(query)
        if answer.status in (409, 410):
            await self._is_told_off(answer, known)
            return None
        return read_page(answer, event.source, known)

    async def _get(self, query: dict[str, str]) -> Answer:
        source = self.reaction.event.source
        headers = {"authorization": f"Bearer {self.secret}"}
        answer = await self.sidecar.ask(source, "events", query=query, headers=headers)
        if answer.status not in (200, 409, 410):
            raise _no_page(self.reaction, answer)
        return answer

    async def _is_told_off(self, answer: Answer, known: str | None) -> None:
        said = answer.json()
        problem = said.get("type") if isinstance(said, dict) else None
        if problem in (FeedChanged.type(), FeedGone.type()):
            await self._begin_anew(known)
            return
        if problem != ReaderWentBack.type():
            raise _no_page(self.reaction, answer)
        async with self.database.read() as session:
            if await feed_cursor.find(session, self.reaction.name) != known:
                return  # another process reads, too, and was faster
        raise RebuildNeeded(
            f"{said.get('detail')} So this database is another one, or an older one; nothing is "
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
        self._ends.clear()
        self._until = None
        async with self.database.write() as session:
            await feed_cursor.forget(session, self.reaction.name, known)

    def _report(self, lost: Sequence[str]) -> None:
        if lost and self.reaction.event.way is Way.PUSHED:
            _log.warning(
                "%d of %s had not come through the broker, and are taken in from the feed (%s ...)",
                len(lost),
                self.reaction.event.topic(),
                lost[0],
            )


def _no_page(reaction: AnyReaction, answer: Answer) -> SidecarUnavailable:
    return SidecarUnavailable(
        f"the feed of {reaction.event.source} was answered {answer.status}"
    )


def rebuild_of(reaction: AnyReaction) -> str:
    """Name the place that a rebuild goes up to, which is kept until it is reached."""
    return f"rebuild of {reaction.name}"


async def _has_any(session: AsyncSession, reaction: AnyReaction) -> bool:
    mine = select(inbox.c.event_id).where(inbox.c.reaction == reaction.name)
    return await session.scalar(mine.limit(1)) is not None


async def _take_in(
    session: AsyncSession, reaction: AnyReaction, events: Sequence[dict[str, Any]]
) -> list[str]:
    """Take in what the inbox lacks, in order; give the ids."""
    ids = [_id_of(event) for event in events]
    here = select(inbox.c.event_id).where(
        inbox.c.reaction == reaction.name, inbox.c.event_id.in_(ids)
    )
    known = set(await session.scalars(here))
    for event_id, event in zip(ids, events, strict=True):
        if event_id not in known:
            await _act(session, reaction, json.dumps(event).encode())
    return [each for each in ids if each not in known]


def _id_of(event: dict[str, Any]) -> str:
    # What is no id, or none that a database takes, is in no inbox: the event becomes a dead letter.
    given = event.get("id")
    return given if isinstance(given, str) and given.isprintable() else ""


async def _act(session: AsyncSession, reaction: AnyReaction, body: bytes) -> None:
    # One that can never be taken in is kept, and holds up neither the others nor the cursor. A bug holds the
    # cursor while it may go by itself; all events of the page are tried each time, and counted.
    try:
        async with session.begin_nested():
            await act_once(session, reaction, body)
    except Exception as error:
        if is_away(error):
            raise
        await give_up(session, reaction, body, error, from_feed=True)
