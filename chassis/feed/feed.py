"""The feed: every event that a service has committed, in an order in which none appears behind what was read.

It is the outbox, whatever became of each event at the broker; chassis/feed_api.py serves it.
"""

import json
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from operator import attrgetter
from typing import Any, Self
from uuid import UUID, uuid4

from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    delete,
    func,
    select,
    text,
    true,
    tuple_,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.database.unit_of_work import Database
from chassis.errors import Rejected
from chassis.feed import consumers as feed_reader
from chassis.outbox.outbox import feed, outbox

_log = logging.getLogger(__name__)

MOST = 1000
"""Events in one page: at two and a half kilobytes each, well below the 4 MiB that daprd carries."""

_CURSOR = re.compile(
    r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.([0-9]{1,19})\.([0-9]{1,19})\.([^.]{1,200})"
)
_LARGEST = 2**63 - 1
_PLACE = (outbox.c.transaction, outbox.c.position, outbox.c.event_id)
_NEWEST = (outbox.c.transaction.desc(), outbox.c.position.desc())
_by_place = attrgetter("place")


class MalformedCursor(Rejected):
    """This is no cursor of a feed."""

    status = 422


class FeedChanged(Rejected):
    """This cursor is not of this feed: the database behind it is another, or an older one."""

    status = 409


class FeedGone(Rejected):
    """Events after this cursor were deleted: whoever kept it has been away for too long."""

    status = 410


@dataclass(frozen=True)
class Cursor:
    """A place in a feed: its id, the position of an event there, and the id that this event has."""

    feed: UUID
    transaction: int
    position: int
    event_id: str

    @classmethod
    def read(cls, written: str) -> Self:
        """Read what `str` writes; raises MalformedCursor."""
        found = _CURSOR.fullmatch(written)
        if not found or max(int(found[2]), int(found[3])) > _LARGEST:
            raise MalformedCursor(f"{written!r} is no cursor of a feed.")
        return cls(UUID(found[1]), int(found[2]), int(found[3]), found[4])

    @property
    def place(self) -> tuple[int, int]:
        """What orders the cursors of one feed."""
        return self.transaction, self.position

    def __str__(self) -> str:
        """Write it as it travels."""
        return f"{self.feed}.{self.transaction}.{self.position}.{self.event_id}"


class Form(StrEnum):
    """How a page tells of its events: as they are, or by id and digest alone."""

    FULL = "full"
    IDS = "ids"


@dataclass(frozen=True)
class Stretch:
    """What is asked for: so many events of a topic after one place, and none beyond another.

    A `reader` has taken in what is up to `after`, unless it begins `anew`.
    """

    topic: str
    after: Cursor | None = None
    until: Cursor | None = None
    limit: int = MOST
    reader: str = ""
    anew: bool = False
    form: Form = Form.FULL


@dataclass(frozen=True)
class Page:
    """Events as JSON, where to go on after them, and the newest place that may be read now."""

    events: Sequence[str]
    next: Cursor | None
    end: Cursor | None


async def read(session: AsyncSession, stretch: Stretch) -> Page:
    """Read a page of the feed; raises FeedChanged where `after` or `until` is of another one.

    Raises ReaderWentBack and FeedGone, too.
    """
    (it,) = (await session.execute(select(feed))).all()
    feed_id = it.id
    await _check_reader(session, stretch, feed_id)
    _check_not_gone(stretch.after, (it.gone_transaction, it.gone_position))
    for cursor in set(filter(None, (stretch.after, stretch.until))):
        await _check(session, feed_id, cursor)
    # The end comes first: what is committed while the rows are read belongs to the next page.
    newest = select(*_PLACE).where(_is_settled(session)).order_by(*_NEWEST).limit(1)
    found = (await session.execute(newest)).first()
    end = Cursor(feed_id, *found) if found else None
    until = min(filter(None, (stretch.until, end)), key=_by_place, default=None)
    rows = (await session.execute(_select(stretch, until))).all() if until else []
    if rows and len(rows) == stretch.limit:
        until = Cursor(feed_id, *rows[-1][:3])
    reached = (stretch.after, until) if stretch.limit else (stretch.after,)
    onward = max(filter(None, reached), key=_by_place, default=None)
    return Page([_shown(row, stretch.form) for row in rows], onward, end)


async def read_by_ids(
    session: AsyncSession, topic: str, ids: Sequence[str]
) -> dict[str, str]:
    """Read these events of a topic as JSON, by id; what is not there is left out."""
    columns = select(outbox.c.event_id, outbox.c.event)
    mine = columns.where(outbox.c.topic == topic, outbox.c.event_id.in_(ids))
    return {row.event_id: row.event for row in await session.execute(mine)}


def _shown(row: Row[Any], form: Form) -> str:
    if form is Form.FULL:
        return str(row.event)
    return json.dumps([row.event_id, (row.digest or b"").hex()], separators=(",", ":"))


async def adopt(database: Database) -> None:
    """Begin the feed anew, under another id, where this database was restored into another cluster.

    There the numbers of transactions begin anew, too: what was written before would hide, and what is
    written now would lie before every cursor. Consumers notice the other id, and compare what there is
    with their inboxes from the oldest event on.
    """
    if not database.is_shared:
        return
    next_one = text("pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
    async with database.write() as session:
        if await session.scalar(select(func.max(outbox.c.transaction) >= next_one)):
            await session.execute(update(outbox).values(transaction=0))
            await session.execute(update(feed).values(id=uuid4()))
            await session.execute(delete(feed_reader.feed_reader))
            _log.error("this database was restored: its feed of events begins anew")


def _select(stretch: Stretch, until: Cursor) -> Select[Any]:
    place = tuple_(outbox.c.transaction, outbox.c.position)
    shown = outbox.c.event if stretch.form is Form.FULL else outbox.c.digest
    statement = (
        select(*_PLACE, shown)
        .where(outbox.c.topic == stretch.topic, place <= until.place)
        .order_by(outbox.c.transaction, outbox.c.position)
        .limit(stretch.limit)
    )
    return statement.where(place > stretch.after.place) if stretch.after else statement


def _is_settled(session: AsyncSession) -> ColumnElement[bool]:
    # A transaction that is still open may yet commit, with a number below one that is there already.
    if session.get_bind().dialect.name != "postgresql":
        return true()
    oldest_open = text("pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
    return outbox.c.transaction < oldest_open


async def _check_reader(session: AsyncSession, stretch: Stretch, feed_id: UUID) -> None:
    of_another = stretch.after is not None and stretch.after.feed != feed_id
    if stretch.reader and not stretch.anew and not of_another:
        place = stretch.after.place if stretch.after else None
        await feed_reader.check(session, stretch.reader, place)


def _check_not_gone(after: Cursor | None, gone: tuple[int, int]) -> None:
    if after and after.place < gone:
        raise FeedGone(f"Events up to {gone} were deleted, and this is {after.place}.")


async def _check(session: AsyncSession, feed_id: UUID, cursor: Cursor) -> None:
    same_place = tuple_(outbox.c.transaction, outbox.c.position) == cursor.place
    there = await session.scalar(select(outbox.c.event_id).where(same_place))
    if cursor.feed != feed_id or there != cursor.event_id:
        raise FeedChanged(
            f"This feed is {feed_id}, with {there or 'no event'} at {cursor.place}."
        )
