"""Dead letters: what a reaction cannot handle, stored raw with its reason, to be replayed or discarded."""

import logging
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    and_,
    func,
    insert,
    select,
    true,
)
from sqlalchemy.orm import Session

from chassis.database import Utc, after_commit, once_committed
from chassis.runtime import clock, metrics

_log = logging.getLogger(__name__)

MAX_BODY = 68 * 1024
"""Bytes of a body that are read and stored: the largest event (64 KiB), and what daprd adds to it."""
MAX_REASON = 1000
"""Characters of a reason that are stored: it may quote what was received."""
SAMPLE = 100
"""Open dead letters of a reaction that are not authentic: whoever floods the broker fills no disk."""


class State(StrEnum):
    """What became of a dead letter."""

    OPEN = "OPEN"
    REPLAYED = "REPLAYED"
    DISCARDED = "DISCARDED"


metadata = MetaData()
dead_letter = Table(
    "dead_letter",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("reaction", String(200), nullable=False),
    Column("reason", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("received_at", Utc, nullable=False),
    # The event whose inbox key this letter holds, so that the pull does not bring it again.
    Column("event_id", String(200)),
    # Whether its signature was verified: what was not is replayed by nobody but a person who looked at it.
    Column("authentic", Boolean, nullable=False, server_default=true()),
    Column("state", String(20), nullable=False, server_default=State.OPEN),
    Column("attempts", Integer, nullable=False, server_default="1"),
    Column("replayed_at", Utc),
    # Who discarded it, when, and why.
    Column("discarded_at", Utc),
    Column("discarded_by", String(200)),
    Column("discarded_because", String(1000)),
    sqlite_autoincrement=True,
)
_holds = dead_letter.c.event_id.is_not(None)
# Retention asks for each old inbox key whether a letter holds it.
Index(
    "dead_letter_holds",
    dead_letter.c.event_id,
    dead_letter.c.reaction,
    sqlite_where=_holds,
    postgresql_where=_holds,
)
_settled = dead_letter.c.state != State.OPEN
Index(
    "dead_letter_settled",
    dead_letter.c.received_at,
    sqlite_where=_settled,
    postgresql_where=_settled,
)


@dataclass(frozen=True)
class DeadLetter:
    """What is stored of something that a reaction cannot handle."""

    reaction: str
    body: bytes
    reason: str
    # Where this letter holds the event's key in the inbox.
    event_id: str | None = None
    attempts: int = 1
    # Bytes, where `body` is not all of it.
    size: int | None = None
    authentic: bool = True
    # The class of the error.
    kind: str = "NotAuthentic"


def store(session: Session, letter: DeadLetter) -> None:
    """Store a dead letter, and log it once it is committed; of what is not authentic, a sample."""
    counted = metrics.DEAD_LETTERS.labels(letter.reaction, letter.kind)
    once_committed(session, counted.inc)
    if not letter.authentic and _is_sampled(session, letter.reaction):
        text = "%s: one more delivery that is not authentic, not stored: %s"
        after_commit(
            session, partial(_log.error, text, letter.reaction, one_line(letter.reason))
        )
        return
    size, reason = letter.size or len(letter.body), one_line(letter.reason)
    if size > MAX_BODY:
        reason = f"{reason} (cut off: it has {size} bytes)"
    row = {
        "reaction": letter.reaction,
        "reason": reason,
        "body": letter.body[:MAX_BODY],
        "received_at": clock.now(),
        "event_id": letter.event_id,
        "attempts": letter.attempts,
        "authentic": letter.authentic,
    }
    session.execute(insert(dead_letter).values(row))
    text = "%s: stored a dead letter: %s"
    after_commit(session, partial(_log.error, text, letter.reaction, reason))


def _is_sampled(session: Session, reaction: str) -> bool:
    mine = and_(
        dead_letter.c.reaction == reaction,
        dead_letter.c.authentic.is_(False),
        dead_letter.c.state == State.OPEN,
    )
    some = select(dead_letter.c.id).where(mine).limit(SAMPLE).subquery()
    found = session.scalar(select(func.count()).select_from(some)) or 0
    return found >= SAMPLE


def one_line(text: str) -> str:
    """Return a text that every log and database takes: printable, on one line, and not long."""
    shown = (
        c if c.isprintable() else " " if c.isspace() else f"\\x{ord(c):02x}"
        for c in text
    )
    return " ".join("".join(shown).split())[:MAX_REASON]
