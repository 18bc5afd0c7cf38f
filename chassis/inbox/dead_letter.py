"""What could not be taken in: kept raw and with its reason, to be looked at, tried again, or left."""

import logging
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    insert,
)
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.database.hooks import after_commit
from chassis.database.unit_of_work import Utc
from chassis.runtime import clock

_log = logging.getLogger(__name__)


class State(StrEnum):
    """What became of a dead letter."""

    OPEN = "OPEN"
    REPLAYED = "REPLAYED"
    DISCARDED = "DISCARDED"


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
    # Who decided that it is never taken in, when, and why.
    Column("discarded_at", Utc),
    Column("discarded_by", String(200)),
    Column("discarded_because", String(1000)),
    sqlite_autoincrement=True,
)
_holds = dead_letter.c.event_id.is_not(None)
# Which letter holds a key is asked of each key that is old (chassis/housekeeping.py).
Index(
    "dead_letter_holds",
    dead_letter.c.event_id,
    dead_letter.c.reaction,
    sqlite_where=_holds,
    postgresql_where=_holds,
)


def in_one_line(text: str) -> str:
    """Write a text so that every log and every database takes it: printable, in one line, and not long."""
    shown = (
        c if c.isprintable() else " " if c.isspace() else f"\\x{ord(c):02x}"
        for c in text
    )
    return " ".join("".join(shown).split())[:LONGEST_REASON]


@dataclass(frozen=True)
class Letter:
    """What is to be kept of something that a reaction cannot take in."""

    reaction: str
    body: bytes
    reason: str
    # Where this letter holds the event's key in the inbox.
    event_id: str | None = None
    attempts: int = 1
    # Bytes, where `body` is not all of it.
    size: int | None = None


async def bury(session: AsyncSession, letter: Letter) -> None:
    """Keep what a reaction cannot take in, and say so in the log once it is committed."""
    size, reason = letter.size or len(letter.body), in_one_line(letter.reason)
    if size > LARGEST:
        reason = f"{reason} (cut off: it has {size} bytes)"
    row = {
        "reaction": letter.reaction,
        "reason": reason,
        "body": letter.body[:LARGEST],
        "received_at": clock.now(),
        "event_id": letter.event_id,
        "attempts": letter.attempts,
    }
    await session.execute(insert(dead_letter).values(row))
    said = "%s: a dead letter is kept: %s"
    after_commit(session, partial(_log.error, said, letter.reaction, reason))
