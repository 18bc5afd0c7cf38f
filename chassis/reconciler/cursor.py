"""How far each reaction has read the feed that it hears: its cursor, kept with what it took in."""

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

metadata = MetaData()
feed_cursor = Table(
    "feed_cursor",
    metadata,
    Column("reaction", String(200), primary_key=True),
    Column("cursor", String(300), nullable=False),
)


class Overtaken(Exception):
    """Another process has read the feed meanwhile, and taken its events in."""


async def find(session: AsyncSession, reaction: str) -> str | None:
    """Give the place up to which this reaction has taken everything in; None at the beginning."""
    mine = feed_cursor.c.reaction == reaction
    return await session.scalar(select(feed_cursor.c.cursor).where(mine))


async def move(session: AsyncSession, reaction: str, old: str | None, new: str) -> None:
    """Go on from `old` to `new`; raises Overtaken where the cursor is not at `old` any more."""
    row = {"reaction": reaction, "cursor": new}
    first = insert(feed_cursor).values(row).on_conflict_do_nothing()
    later = update(feed_cursor).where(_at(reaction, old)).values(cursor=new)
    moved = (first if old is None else later).returning(feed_cursor.c.reaction)
    if (await session.execute(moved)).first() is None:
        raise Overtaken


async def forget(session: AsyncSession, reaction: str, cursor: str | None) -> None:
    """Begin at the beginning again, unless the cursor has moved on from here."""
    await session.execute(delete(feed_cursor).where(_at(reaction, cursor)))


def _at(reaction: str, cursor: str | None) -> ColumnElement[bool]:
    return and_(feed_cursor.c.reaction == reaction, feed_cursor.c.cursor == cursor)
