"""The cursor of each reaction in the feed that it pulls from, moved in the transaction that handles the events."""

from sqlalchemy import Column, MetaData, String, Table, and_, delete, select, update
from sqlalchemy.orm import Session

from chassis.database import insert

metadata = MetaData()
feed_cursor = Table(
    "feed_cursor",
    metadata,
    Column("reaction", String(200), primary_key=True),
    Column("cursor", String(300), nullable=False),
)

BEGINNING = ""
"""The cursor of a reaction that starts with the next event of an empty feed."""
RESET = "reset"
"""The cursor of a reaction that reads the feed again from its oldest event, and handles what its inbox lacks."""


class CursorMoved(Exception):
    """Another process has pulled from this cursor meanwhile."""


def find(session: Session, reaction: str) -> str | None:
    """Return the cursor up to which a reaction has handled every event; None where it has never pulled."""
    mine = feed_cursor.c.reaction == reaction
    return session.scalar(select(feed_cursor.c.cursor).where(mine))


def move(session: Session, reaction: str, old: str | None, new: str) -> None:
    """Move the cursor from `old` to `new`; raises CursorMoved where it is elsewhere."""
    row = {"reaction": reaction, "cursor": new}
    first = insert(feed_cursor).values(row).on_conflict_do_nothing()
    mine = and_(feed_cursor.c.reaction == reaction, feed_cursor.c.cursor == old)
    later = update(feed_cursor).where(mine).values(cursor=new)
    moved = (first if old is None else later).returning(feed_cursor.c.reaction)
    if session.execute(moved).first() is None:
        raise CursorMoved(reaction)


def forget(session: Session, reaction: str) -> None:
    """Delete the cursor."""
    session.execute(delete(feed_cursor).where(feed_cursor.c.reaction == reaction))
