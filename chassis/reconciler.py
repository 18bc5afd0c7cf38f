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

from pydantic import BaseModel, ConfigDict
from sqlalchemy import (
    Column,
    ColumnElement,
    MetaData,
    String,
    Table,
    and_,
    delete,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import ambient
from chassis.database import Database
from chassis.feed import Cursor, MalformedCursor
from chassis.inbox import PERMANENT, AnyReaction, act_once, inbox, refuse
from chassis.loop import Loop
from chassis.sidecar import Answer, Sidecar, SidecarUnavailable
from contracts.event import Way

_log = logging.getLogger(__name__)

SETTLE = 3.0
"""Seconds that an event which is pushed has, to arrive by itself."""
BATCH = 1000
"""Events that are asked for in one call."""

metadata = MetaData()
feed_cursor = Table(
    "feed_cursor",
    metadata,
    Column("reaction", String(200), primary_key=True),
    Column("cursor", String(300), nullable=False),
)


class Page(BaseModel):
    """A page of a feed, as it is answered."""

    model_config = ConfigDict(strict=True, frozen=True)

    events: list[dict[str, Any]]
    next: str | None
    end: str | None


class Overtaken(Exception):
    """Another process has read the feed meanwhile, and taken its events in."""


@dataclass
class Reconciler:
    """Pulls what one reaction hears from the feed of the service that says it."""

    database: Database
    sidecar: Sidecar
    reaction: AnyReaction
    secret: str
    clock: Callable[[], float] = ambient.monotonic
    settle: float | None = None
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
            known = await _cursor(session, self.reaction)
        until = self._settled()
        page = await self._ask(known, until)
        if page is None:
            return True
        if page.end and self.settle:
            self._ends.append((self.clock(), page.end))
        if page.next in (None, known):
            return False
        try:
            async with self.database.write() as session:
                await _move(session, self.reaction, known, page.next)
                lost = await _take_in(session, self.reaction, page.events)
        except Overtaken:
            return False
        self._report(lost)
        return len(page.events) == self.batch

    def _settled(self) -> str | None:
        """Give the newest end that was reported so long ago that what is before it should be here."""
        while self._ends and self.clock() - self._ends[0][0] >= (self.settle or 0):
            self._until = self._ends.popleft()[1]
        return self._until

    async def _ask(self, known: str | None, until: str | None) -> Page | None:
        event = self.reaction.event
        # Without a settled end yet, only the newest one is asked for.
        limit = self.batch if until or not self.settle else 0
        query = {
            "topic": event.topic(),
            "after": known or "",
            "until": until or "",
            "limit": str(limit),
            "reader": self.reaction.name,
        }
        headers = {"authorization": f"Bearer {self.secret}"}
        answer = await self.sidecar.ask(
            event.source, "events", query=query, headers=headers
        )
        if answer.status in (409, 410):
            await self._begin_anew(known)
            return None
        if answer.status != 200:
            raise SidecarUnavailable(
                f"the feed of {event.source} was answered {answer.status}"
            )
        return _read(answer, event.source, known)

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
            await session.execute(delete(feed_cursor).where(_at(self.reaction, known)))

    def _report(self, lost: Sequence[str]) -> None:
        if lost and self.reaction.event.way is Way.PUSHED:
            _log.warning(
                "%d of %s had not come through the broker, and are taken in from the feed (%s ...)",
                len(lost),
                self.reaction.event.topic(),
                lost[0],
            )


def _read(answer: Answer, source: str, known: str | None) -> Page:
    try:
        page = Page.model_validate(answer.json())
        _check(page, known)
    except (ValueError, MalformedCursor) as error:
        raise SidecarUnavailable(
            f"the feed of {source} was answered with no page of events ({type(error).__name__})"
        ) from error
    return page


def _check(page: Page, known: str | None) -> None:
    read, onward, end = (
        Cursor.read(each) if each is not None else None
        for each in (known, page.next, page.end)
    )
    if len({each.feed for each in (read, onward, end) if each}) > 1:
        raise ValueError("it is of two feeds")
    # A cursor that led back, or nowhere, would be kept, and what comes after it never asked for.
    leads_on = onward is not None and (read is None or onward.place > read.place)
    if not leads_on and (onward != read or page.events):
        raise ValueError("it does not lead on")


async def _cursor(session: AsyncSession, reaction: AnyReaction) -> str | None:
    mine = feed_cursor.c.reaction == reaction.name
    return await session.scalar(select(feed_cursor.c.cursor).where(mine))


def _at(reaction: AnyReaction, cursor: str | None) -> ColumnElement[bool]:
    mine = feed_cursor.c.reaction == reaction.name
    return and_(mine, feed_cursor.c.cursor == cursor)


async def _move(
    session: AsyncSession, reaction: AnyReaction, old: str | None, new: str
) -> None:
    # Whoever finds the cursor elsewhere than where it read from has been overtaken.
    row = {"reaction": reaction.name, "cursor": new}
    first = insert(feed_cursor).values(row).on_conflict_do_nothing()
    later = update(feed_cursor).where(_at(reaction, old)).values(cursor=new)
    moved = (first if old is None else later).returning(feed_cursor.c.reaction)
    if (await session.execute(moved)).first() is None:
        raise Overtaken


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
    # One that can never be taken in is kept, and holds up neither the others nor the cursor.
    try:
        async with session.begin_nested():
            await act_once(session, reaction, body)
    except PERMANENT as error:
        await refuse(session, reaction, body, error, from_feed=True)
