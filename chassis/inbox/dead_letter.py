"""Dead letters: what a reaction cannot handle, stored raw with its reason, to be replayed or discarded.

Those of one reaction that failed for the same reason are a group, whose row counts them.
"""

import hashlib
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any

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
    func,
    select,
    true,
)
from sqlalchemy.orm import Session

from chassis.database import Utc, after_commit, insert, once_committed
from chassis.runtime import clock, logs, metrics

_log = logging.getLogger(__name__)

MAX_BODY = 68 * 1024
"""Bytes of a body that are read and stored: the largest event (64 KiB), and what daprd adds to it."""
MAX_REASON = 1000
"""Characters of a reason that are stored: it may quote what was received."""
LONGEST_SHARED = 200
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
    Column("discarded_by", String(255)),
    Column("discarded_because", String(1000)),
    # Its group.
    Column("fingerprint", String(16), nullable=False),
    # The data that somebody put in the place of what came, as JSON; `body` stays as it came.
    Column("edited", Text),
    sqlite_autoincrement=True,
)
# A page of a list is read from one of these, however many letters there are.
for _names in (("state",), ("reaction", "state"), ("fingerprint", "state")):
    _columns = [dead_letter.c[each] for each in (*_names, "id")]
    Index(f"dead_letter_by_{_names[0]}", *_columns)
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

group = Table(
    "dead_letter_group",
    metadata,
    Column("fingerprint", String(16), primary_key=True),
    Column("reaction", String(200), nullable=False),
    # What the reasons of its letters have in common.
    Column("reason", String(200), nullable=False),
    Column("authentic", Boolean, nullable=False),
    Column("open", Integer, nullable=False),
    Column("replayed", Integer, nullable=False, server_default="0"),
    Column("discarded", Integer, nullable=False, server_default="0"),
    Column("first_at", Utc, nullable=False),
    Column("last_at", Utc, nullable=False),
    Index("dead_letter_group_last_at", "last_at", "fingerprint"),
)
_NEW_GROUP = insert(group)
_COUNT = _NEW_GROUP.on_conflict_do_update(
    index_elements=["fingerprint"],
    set_={"open": group.c.open + 1, "last_at": _NEW_GROUP.excluded.last_at},
)

_SQL = re.compile(r"\s*(?:DETAIL:|\[SQL:).*")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_AN_IDENTIFIER = re.compile(r"[\w./:-]*[_:/.][\w./:-]*")
_VALUE = re.compile(
    r"\b[0-9a-f]{8}-[0-9a-f-]{27}\b|\b0x[0-9a-f]+\b|\d+(?:[.:]\d+)*", re.I
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
    ids = logs.about(letter.body)
    if not letter.authentic and _is_sampled(session, letter.reaction):
        text = "%s: one more delivery that is not authentic, not stored: %s"
        after_commit(
            session,
            partial(
                _log.error, text, letter.reaction, one_line(letter.reason), extra=ids
            ),
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
    row["fingerprint"] = count_in_group(session, row)
    session.execute(insert(dead_letter).values(row))
    text = "%s: stored a dead letter: %s"
    after_commit(session, partial(_log.error, text, letter.reaction, reason, extra=ids))


def count_in_group(session: Session, row: Mapping[str, Any]) -> str:
    """Count a letter that is about to be stored in its group; return the group's fingerprint."""
    names = ("reaction", "authentic")
    of_letter = {each: row[each] for each in names}
    of_letter["reason"] = what_they_share(row["reason"])
    named = "\n".join(map(str, of_letter.values()))
    fingerprint = hashlib.sha256(named.encode()).hexdigest()[:16]
    at = dict.fromkeys(("first_at", "last_at"), row["received_at"])
    counted = {"fingerprint": fingerprint, "open": 1, **of_letter, **at}
    session.execute(_COUNT, counted)
    return fingerprint


def what_they_share(reason: str) -> str:
    """Return what reasons of one kind have in common: without ids, numbers, values in quotes, and SQL."""
    quoted = _QUOTED.sub(_unless_an_identifier, _SQL.sub("", reason))
    return _VALUE.sub("…", quoted)[:LONGEST_SHARED]


def _unless_an_identifier(found: re.Match[str]) -> str:
    text = found.group()
    return text if _AN_IDENTIFIER.fullmatch(text[1:-1]) else f"{text[0]}…{text[0]}"


def _is_sampled(session: Session, reaction: str) -> bool:
    mine = group.c.reaction == reaction, group.c.authentic.is_(False)
    found = session.scalar(select(func.sum(group.c.open)).where(*mine)) or 0
    return found >= SAMPLE


def one_line(text: str) -> str:
    """Return a text that every log and database takes: printable, on one line, and not long."""
    shown = (
        c if c.isprintable() else " " if c.isspace() else f"\\x{ord(c):02x}"
        for c in text
    )
    return " ".join("".join(shown).split())[:MAX_REASON]
