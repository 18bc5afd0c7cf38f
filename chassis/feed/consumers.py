"""The consumers of a service's feed and their acknowledged offsets: retention keeps what comes after them."""

from typing import Any

from sqlalchemy import BigInteger, Column, MetaData, String, Table
from sqlalchemy.orm import Session

from chassis.database import Utc, insert
from chassis.errors import Rejected
from chassis.feed.cursor import Offset
from chassis.runtime import clock

metadata = MetaData()
consumer = Table(
    "consumer",
    metadata,
    # A reaction of another service: "<app-id>/<reaction>".
    Column("consumer", String(200), primary_key=True),
    Column("topic", String(200), nullable=False),
    Column("transaction", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("acknowledged_at", Utc, nullable=False),
)


class CursorRegressed(Rejected):
    """The consumer's cursor is behind its acknowledged offset: its database is another, or an older one."""

    status = 409


def acknowledge(session: Session, name: str, topic: str, after: Offset) -> None:
    """Record that a consumer has handled everything up to an offset; a reset goes back."""
    values: dict[str, Any] = {
        "topic": topic,
        "transaction": after[0],
        "position": after[1],
        "acknowledged_at": clock.now(),
    }
    statement = insert(consumer).values(consumer=name, **values)
    session.execute(
        statement.on_conflict_do_update(index_elements=["consumer"], set_=values)
    )
