"""Delivery attempts of events on which a handler fails with an unexpected error: a bug.

It may pass, so the event is retried; after MAX_ATTEMPTS it is a dead letter and holds up nobody any more.
"""

from sqlalchemy import (
    Column,
    ColumnElement,
    Integer,
    MetaData,
    String,
    Table,
    and_,
    delete,
)
from sqlalchemy.orm import Session

from chassis.database import Utc, insert
from chassis.runtime import clock

MAX_ATTEMPTS = 10
"""Attempts after which a bug is taken for a permanent one: some seconds of deliveries or pulls."""

metadata = MetaData()
attempt = Table(
    "attempt",
    metadata,
    Column("reaction", String(200), primary_key=True),
    Column("event_id", String(200), primary_key=True),
    Column("attempts", Integer, nullable=False),
    Column("attempted_at", Utc, nullable=False),
)


def count(session: Session, reaction: str, event_id: str) -> int:
    """Count one failed attempt; return how many there were."""
    row = {"reaction": reaction, "event_id": event_id, "attempted_at": clock.now()}
    first = insert(attempt).values(**row, attempts=1)
    again = {
        "attempts": attempt.c.attempts + 1,
        "attempted_at": first.excluded.attempted_at,
    }
    counted = first.on_conflict_do_update(
        index_elements=["reaction", "event_id"], set_=again
    ).returning(attempt.c.attempts)
    return int(session.scalar(counted) or 0)


def forget(session: Session, reaction: str, event_id: str) -> None:
    """Delete the attempts at one event."""
    session.execute(delete(attempt).where(_mine(reaction, event_id)))


def _mine(reaction: str, event_id: str) -> ColumnElement[bool]:
    return and_(attempt.c.reaction == reaction, attempt.c.event_id == event_id)
