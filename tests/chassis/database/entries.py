"""The one table that the tests of the database write to."""

from datetime import datetime

from sqlalchemy import Column, Integer, MetaData, Table, func, insert, select
from sqlalchemy.orm import Session

from chassis.database import Database, Utc

metadata = MetaData()
entry = Table(
    "entry",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("number", Integer, nullable=False, default=0),
    Column("at", Utc),
)


def insert_one(session: Session, at: datetime | None = None) -> None:
    """Insert a row."""
    session.execute(insert(entry).values(at=at))


def count(session: Session) -> int:
    """Return how many rows there are."""
    return session.scalar(select(func.count()).select_from(entry)) or 0


async def rows(database: Database) -> int:
    """Return how many rows are committed."""
    return await database.read(count)
