"""What could not be taken in: kept raw and with its reason, to be looked at, tried again, or left."""

from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    Column,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    insert,
)
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import ambient
from chassis.database import Utc


class State(StrEnum):
    """What became of a dead letter."""

    OPEN = "OPEN"
    REPLAYED = "REPLAYED"


LARGEST = 64 * 1024
"""Bytes of a body that are kept: ours are a fiftieth of it, and a table is no place for a flood."""

LONGEST_REASON = 1000
"""Characters of a reason that are kept: what was sent may be quoted in it."""

metadata = MetaData()
dead_letter = Table(
    "dead_letter",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("reaction", String(200), nullable=False),
    Column("reason", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("received_at", Utc, nullable=False),
    # The event whose key in the inbox this letter holds, so that the pull does not bring it again.
    Column("event_id", String(200)),
    Column("state", String(20), nullable=False, server_default=State.OPEN),
    Column("attempts", Integer, nullable=False, server_default="1"),
    Column("replayed_at", Utc),
    sqlite_autoincrement=True,
)


def in_one_line(text: str) -> str:
    """Write a text so that every log and every database takes it: printable, in one line, and not long."""
    shown = (
        c if c.isprintable() else " " if c.isspace() else f"\\x{ord(c):02x}"
        for c in text
    )
    return " ".join("".join(shown).split())[:LONGEST_REASON]


async def bury(
    session: AsyncSession,
    reaction: str,
    body: bytes,
    reason: str,
    event_id: str | None = None,
) -> None:
    """Keep what a reaction cannot take in; `event_id` where this letter holds its key in the inbox."""
    cut, reason = len(body) > LARGEST, in_one_line(reason)
    row = {
        "reaction": reaction,
        "reason": f"{reason} (cut off: it has {len(body)} bytes)" if cut else reason,
        "body": body[:LARGEST],
        "received_at": ambient.now(),
        "event_id": event_id,
    }
    await session.execute(insert(dead_letter).values(row))
