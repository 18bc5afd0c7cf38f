"""How often an event was tried on which a reaction fails, though neither it nor the database is to blame.

That is a bug. It may go by itself, so the event is tried again; but not for ever: after TRIES attempts it is
a dead letter, and holds up nobody any more (chassis/inbox.py).
"""

import hashlib
from dataclasses import asdict, dataclass

from sqlalchemy import (
    Column,
    ColumnElement,
    Integer,
    MetaData,
    String,
    Table,
    and_,
    delete,
    select,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.database.unit_of_work import Utc
from chassis.runtime import clock

TRIES = 10
"""Attempts after which a bug is taken for one that stays: some seconds of what is pushed or pulled."""

metadata = MetaData()
attempt = Table(
    "attempt",
    metadata,
    Column("reaction", String(200), primary_key=True),
    # Of what has no id, a digest.
    Column("event_id", String(200), primary_key=True),
    Column("tries", Integer, nullable=False),
    Column("tried_at", Utc, nullable=False),
)


@dataclass(frozen=True)
class Tried:
    """What was tried: a reaction, on an event."""

    reaction: str
    event_id: str

    def is_me(self) -> ColumnElement[bool]:
        """Name its row."""
        mine = attempt.c.reaction == self.reaction
        return and_(mine, attempt.c.event_id == self.event_id)


def of(reaction: str, event_id: str | None, body: bytes) -> Tried:
    """Name an attempt of a reaction: at the event with this id, or at a body in which none could be read."""
    return Tried(reaction, event_id or hashlib.sha256(body).hexdigest())


async def count(session: AsyncSession, tried: Tried) -> None:
    """Count one attempt that failed."""
    first = insert(attempt).values(**asdict(tried), tries=1, tried_at=clock.now())
    again = {"tries": attempt.c.tries + 1, "tried_at": first.excluded.tried_at}
    key = ["reaction", "event_id"]
    await session.execute(first.on_conflict_do_update(index_elements=key, set_=again))


async def is_the_last(session: AsyncSession, tried: Tried) -> bool:
    """Tell whether an attempt that has failed now, and is not counted yet, was the last one."""
    tries = await session.scalar(select(attempt.c.tries).where(tried.is_me()))
    return (tries or 0) + 1 >= TRIES


async def forget(session: AsyncSession, tried: Tried) -> int:
    """Forget the attempts at an event; tell how many were counted."""
    mine = delete(attempt).where(tried.is_me()).returning(attempt.c.tries)
    return await session.scalar(mine) or 0
