"""What a service's database says: each query counts so far and no further, by an index."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from alembic.script import ScriptDirectory
from sqlalchemy import (
    ColumnElement,
    Select,
    Table,
    and_,
    func,
    literal,
    select,
    text,
)
from sqlalchemy.orm import Session

from chassis.database import migrate
from chassis.database.exclusive import ADVISORY_LOCK
from chassis.feed.consumers import consumer
from chassis.feed.long_transactions import find_hidden
from chassis.inbox.attempts import attempt
from chassis.inbox.dead_letter import State as LetterState
from chassis.inbox.dead_letter import dead_letter
from chassis.inbox.journey import find_oldest_open
from chassis.inbox.reaction import AnyReaction, inbox
from chassis.operations.model import (
    MOST,
    Consumer,
    Count,
    DeadLetters,
    Revision,
    Stored,
    StoredOutbox,
    StoredReaction,
    Tallies,
)
from chassis.outbox.outbox import IS_PARKED, is_open, outbox
from chassis.reconciler.cursor import find as find_cursor
from chassis.reconciler.reconciler import rebuild_of

MOST_CONSUMERS = 100
"""Consumers that are shown: each is looked at by itself."""

_PROCESSES = text(
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = :lock AND granted"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


@dataclass(frozen=True)
class Asked:
    """What is asked for: the reactions, the newest revisions in the code, the service's own counts."""

    service: str
    reactions: Sequence[AnyReaction]
    heads: Mapping[str, str]
    tallies: Tallies


def read_stored(session: Session, asked: Asked) -> Stored:
    """Return what the database says, in one transaction."""
    is_shared = session.get_bind().dialect.name == "postgresql"
    return Stored(
        database=_version(session, is_shared=is_shared),
        revisions=[*_revisions(session, asked.heads)],
        processes=_processes(session) if is_shared else None,
        outbox=_outbox(session, is_shared=is_shared),
        reactions={each.name: _reaction(session, each) for each in asked.reactions},
        dead_letters=[*_dead_letters(session, asked)],
        consumers=[*_consumers(session)],
        own=[*asked.tallies(session)],
    )


def count(session: Session, table: Table, *where: ColumnElement[bool]) -> Count:
    """Return how many rows of a table there are, up to MOST; an index has to lead to them."""
    return count_of(session, select(literal(1)).select_from(table).where(*where))


def count_of(session: Session, rows: Select[Any]) -> Count:
    """Return how many rows a query has, up to MOST."""
    some = rows.limit(MOST + 1).subquery()
    found = session.scalar(select(func.count()).select_from(some)) or 0
    return Count(number=min(found, MOST), more=found > MOST)


def _version(session: Session, *, is_shared: bool) -> str:
    if is_shared:
        return f"PostgreSQL {session.scalar(text('SHOW server_version'))}"
    return f"SQLite {session.scalar(text('SELECT sqlite_version()'))}"


@cache
def heads(service: str, folder: Path | None) -> dict[str, str]:
    """Return the newest revision of each branch of the migrations in the code."""
    script = ScriptDirectory.from_config(migrate.configuration(service, "", folder))
    found = [script.get_revision(each) for each in script.get_heads()]
    return {_branch(each.revision): each.revision for each in found}


def _branch(revision: str) -> str:
    return revision.partition("_")[2] or revision


def _revisions(session: Session, heads: Mapping[str, str]) -> Iterator[Revision]:
    stored = session.scalars(text("SELECT version_num FROM schema_version"))
    by_branch = {_branch(each): each for each in stored}
    for branch, code in sorted(heads.items()):
        yield Revision(branch=branch, stored=by_branch.get(branch), code=code)


def _processes(session: Session) -> int:
    return session.scalar(_PROCESSES, {"lock": ADVISORY_LOCK}) or 0


def _outbox(session: Session, *, is_shared: bool) -> StoredOutbox:
    newest = select(outbox.c.reason).where(IS_PARKED).order_by(outbox.c.position.desc())
    hidden, holders = find_hidden(session) if is_shared else (0, "")
    return StoredOutbox(
        waiting=count(session, outbox, is_open),
        oldest=find_oldest_open(session),
        parked=count(session, outbox, IS_PARKED),
        parked_reason=session.scalar(newest.limit(1)),
        hidden=hidden,
        hidden_by=holders or None,
    )


def _reaction(session: Session, reaction: AnyReaction) -> StoredReaction:
    name, unfinished = reaction.name, rebuild_of(reaction)
    # What was handled since keeps its attempts until retention deletes them.
    handled = select(inbox.c.event_id).where(
        inbox.c.reaction == name, inbox.c.event_id == attempt.c.event_id
    )
    failing = and_(attempt.c.reaction == name, ~handled.exists())
    return StoredReaction(
        failing=count(session, attempt, failing),
        cursor=find_cursor(session, name),
        rebuilding=find_cursor(session, unfinished) is not None,
    )


def _dead_letters(session: Session, asked: Asked) -> Iterator[DeadLetters]:
    is_open_letter = dead_letter.c.state == LetterState.OPEN
    names = [each.name for each in asked.reactions]
    for name in (*names, f"{asked.service}-dead-letter"):
        mine = and_(dead_letter.c.reaction == name, is_open_letter)
        oldest = (
            select(dead_letter.c.received_at).where(mine).order_by(dead_letter.c.id)
        )
        found = count(session, dead_letter, mine)
        if found.number:
            at = session.scalar(oldest.limit(1))
            yield DeadLetters(reaction=name, open=found, oldest=at)


def _consumers(session: Session) -> Iterator[Consumer]:
    # Positions are numbered in the order of the feed, give or take the transactions of one moment.
    end = session.scalar(select(func.max(outbox.c.position))) or 0
    rows = select(consumer).order_by(consumer.c.consumer).limit(MOST_CONSUMERS)
    for row in session.execute(rows).all():
        yield Consumer(
            name=row.consumer,
            topic=row.topic,
            acknowledged_at=row.acknowledged_at,
            behind=max(0, end - max(row.position, 0)),
            since=_appended_after(session, row.position),
        )


def _appended_after(session: Session, position: int) -> datetime | None:
    after = select(outbox.c.created_at).where(outbox.c.position > position)
    return session.scalar(after.order_by(outbox.c.position).limit(1))
