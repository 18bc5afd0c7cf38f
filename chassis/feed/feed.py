"""The feed: the log of committed events; none ever becomes visible behind a consumer's cursor.

It is the outbox, whatever became of each event at the broker. A page is bounded by bytes as well as by rows:
daprd carries 4 MiB.
"""

import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from itertools import accumulate
from operator import attrgetter
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Row,
    Select,
    bindparam,
    delete,
    func,
    select,
    text,
    true,
    tuple_,
    update,
)
from sqlalchemy.orm import Session

from chassis.database import Database
from chassis.errors import Rejected
from chassis.feed.consumers import CursorRegressed, consumer
from chassis.feed.cursor import BEGINNING, Cursor, Offset
from chassis.outbox.outbox import feed, outbox

_log = logging.getLogger(__name__)

MAX_ROWS = 1000
"""Events in one page."""
MAX_BYTES = 2 * 1024 * 1024
"""Bytes of events in one answer; a single event that is larger goes out alone."""

_CURSOR = (outbox.c.transaction, outbox.c.position, outbox.c.event_id)
_BOUNDS = ("after_transaction", "after_position", "until_transaction", "until_position")
_by_offset = attrgetter("offset")


class FeedChanged(Rejected):
    """This cursor is not of this feed: the database behind it is another, or an older one."""

    status = 409


class CursorExpired(Rejected):
    """Retention removed events after this cursor: the consumer has been away for too long."""

    status = 410


class Form(StrEnum):
    """What a page lists: events in full, or their ids."""

    FULL = "full"
    IDS = "ids"


class FeedQuery(BaseModel):
    """Up to `limit` events of a topic in the range (after, until].

    A `consumer` ("<app-id>/<reaction>") acknowledges everything up to `after`, which must not be behind what
    it acknowledged before, unless it asks for a `reset`.
    """

    model_config = ConfigDict(frozen=True)

    topic: str = Field(pattern=r"^\w{1,200}$")
    after: str = ""
    until: str = ""
    limit: int = Field(MAX_ROWS, ge=0, le=MAX_ROWS)
    consumer: str = Field("", pattern=r"^([\w.-]+/\w+)?$", max_length=200)
    reset: bool = False
    form: Form = Form.FULL


@dataclass(frozen=True)
class FeedPage:
    """Events as JSON, the cursor after them, and the newest cursor that can be read now.

    `removed`: this page begins at the beginning, and retention removed events before it. `acknowledges`: the
    offset to record for the consumer, where it is news.
    """

    events: Sequence[str]
    next: Cursor | None
    high_water_mark: Cursor | None
    removed: bool = False
    acknowledges: Offset | None = None


def read_page(session: Session, query: FeedQuery) -> FeedPage:
    """Return a page of the feed; raises MalformedCursor, FeedChanged, CursorExpired, CursorRegressed."""
    after, until = (
        Cursor.parse(each) if each else None for each in (query.after, query.until)
    )
    # The mark comes first: what is committed while the rows are read belongs to the next page.
    statement = _statements(session.get_bind().dialect.name).this
    this = session.execute(statement, {"consumer": query.consumer}).one()
    removed = (this.removed_transaction, this.removed_position)
    acknowledges = _check_consumer(query, after, this)
    if after and after.offset < removed:
        raise CursorExpired(
            f"Events up to {removed} were removed; this is {after.offset}."
        )
    mark = Cursor(this.id, *this[-3:]) if this.event_id else None
    for cursor in (after, until):
        if cursor and cursor != mark:
            _check(session, this.id, cursor)
    until = min(filter(None, (until, mark)), key=_by_offset, default=None)
    events, reached = _read(session, query, after, until)
    return FeedPage(
        events=events,
        next=max(filter(None, (after, reached)), key=_by_offset, default=None),
        high_water_mark=mark,
        removed=after is None and removed > BEGINNING,
        acknowledges=acknowledges,
    )


def read_by_ids(session: Session, topic: str, ids: Sequence[str]) -> dict[str, str]:
    """Return events of a topic as JSON, by id: what exists, and as much of it as fits into an answer."""
    columns = select(outbox.c.event_id, outbox.c.event, outbox.c.size)
    mine = columns.where(outbox.c.topic == topic, outbox.c.event_id.in_(ids))
    rows = session.execute(mine.order_by(outbox.c.position)).all()
    fitting = rows[: _fitting(row.size for row in rows)]
    return {row.event_id: row.event for row in fitting}


async def open_feed(database: Database) -> None:
    """Reset the feed, under another id, where this database was restored into another cluster.

    There the numbers of transactions start again: what was written before would be hidden, and what is
    written now would lie behind every cursor. Consumers notice the new id, and compare everything with their
    inboxes. The service asks at its start, and again and again (chassis/feed/long_transactions.py).
    """
    if (
        database.is_shared
        and await database.read(_is_restored)
        and await database.write(_reset_if_restored)
    ):
        _log.error("this database was restored into another cluster; its feed is reset")


def _is_restored(session: Session) -> bool:
    next_one = text("pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
    return bool(session.scalar(select(func.max(outbox.c.transaction) >= next_one)))


def _reset_if_restored(session: Session) -> bool:
    if not _is_restored(session):  # another process was quicker
        return False
    session.execute(update(outbox).values(transaction=0))
    session.execute(update(feed).values(id=uuid4()))
    # The mark is of the old numbers; that events were removed is still true.
    mark = update(feed).where(feed.c.removed_transaction >= 0)
    session.execute(mark.values(removed_transaction=0, removed_position=0))
    session.execute(delete(consumer))
    return True


def _check_consumer(
    query: FeedQuery, after: Cursor | None, this: Row[Any]
) -> Offset | None:
    if not query.consumer:
        return None
    offset = after.offset if after else BEGINNING
    known = this.acknowledged_transaction, this.acknowledged_position
    # A cursor of another feed has no order here; it is refused as such.
    is_ours = after is None or after.feed == this.id
    if is_ours and not query.reset and None not in known and known > offset:
        raise CursorRegressed(
            f"{query.consumer} has acknowledged {known} and asks after {offset}."
        )
    return offset if offset != known else None


def _check(session: Session, feed_id: UUID, cursor: Cursor) -> None:
    row = select(*_CURSOR).where(outbox.c.position == cursor.position)
    found = session.execute(row).first()
    if not found or Cursor(feed_id, *found) != cursor:
        raise FeedChanged(f"This feed is {feed_id}, and has no event {cursor}.")


def _read(
    session: Session, query: FeedQuery, after: Cursor | None, until: Cursor | None
) -> tuple[list[str], Cursor | None]:
    """Return the events of a page, and the cursor that it reaches."""
    if not until or not query.limit or (after and after.offset >= until.offset):
        return [], until if query.limit else None
    _, sizes, full = _statements(session.get_bind().dialect.name)
    first = after.offset if after else BEGINNING
    page: dict[str, Any] = {"topic": query.topic, "limit": query.limit}
    page |= zip(_BOUNDS, (*first, *until.offset), strict=True)
    rows = session.execute(sizes, page).all()
    fits, is_cut = len(rows), len(rows) == query.limit
    if query.form is Form.FULL and rows:
        fits = _fitting(row.size for row in rows)
        is_cut = is_cut or fits < len(rows)
        events = list(session.scalars(full, {**page, "limit": fits}))
    else:
        events = [json.dumps(row.event_id) for row in rows]
    return events, Cursor(until.feed, *rows[fits - 1][:3]) if is_cut else until


class _Statements(NamedTuple):
    this: Select[Any]
    sizes: Select[Any]
    events: Select[Any]


@cache
def _statements(dialect: str) -> _Statements:
    """Return the queries of a page: the feed with its mark and a consumer, then cursors and sizes, then events."""
    # On SQLite every transaction is 0, and of two columns it would use only the first to find its way.
    sequence = [outbox.c.position]
    is_visible: ColumnElement[bool] = true()
    if dialect == "postgresql":
        # A transaction that is still open may yet commit, with a number below one that is there already.
        oldest_open = text("pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
        is_visible = outbox.c.transaction < oldest_open
        sequence = [outbox.c.transaction, outbox.c.position]
    newest = [each.desc() for each in sequence]
    mark = select(*_CURSOR).where(is_visible).order_by(*newest).limit(1).subquery()
    mine = consumer.c.consumer == bindparam("consumer")
    acknowledged = consumer.c.transaction, consumer.c.position
    labels = (each.label(f"acknowledged_{each.name}") for each in acknowledged)
    this = feed.outerjoin(consumer, mine).outerjoin(mark, true())
    offset, tail = tuple_(*sequence), slice(-len(sequence), None)
    bounds = [bindparam(each, type_=BigInteger) for each in _BOUNDS]
    after, until = tuple_(*bounds[:2][tail]), tuple_(*bounds[2:][tail])
    topic = outbox.c.topic == bindparam("topic")
    page = select().where(topic, offset > after, offset <= until)
    page = page.order_by(*sequence).limit(bindparam("limit"))
    return _Statements(
        select(feed, *labels, *mark.c).select_from(this),
        page.add_columns(*_CURSOR, outbox.c.size),
        page.add_columns(outbox.c.event),
    )


def _fitting(sizes: Iterable[int]) -> int:
    """Return how many of these sizes fit into one answer: the first always does."""
    return max(1, sum(total <= MAX_BYTES for total in accumulate(sizes)))
