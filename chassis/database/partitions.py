"""Partitions on PostgreSQL: what is old enough goes with its partition, in a moment, and not row by row.

A table is partitioned by event id. The ids are UUIDs of version 7, which begin with their time: a range of ids is
one of time, and the table's unique keys stay as they are. Ids of any other form, and what comes where no partition
was made, are in the default partition: nothing is ever refused for want of one. A database has partitions once it
was converted (docs/databases.md), in the environment of its service, which may run meanwhile:

    python -m chassis.database.partitions
"""

import os
import re
import sys
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from pydantic_settings import BaseSettings
from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Row,
    Table,
    and_,
    or_,
    text,
    true,
)
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from chassis.database.engine import is_sqlite, open_engine
from chassis.database.indexes import create_index
from chassis.database.transient import is_unavailable
from chassis.runtime import clock, load
from chassis.runtime.ids import first_id
from chassis.runtime.settings import DatabaseUrl, refuse

SPANS = {"outbox": timedelta(days=1), "inbox": timedelta(days=7)}
"""The tables, and the time of one partition: few enough partitions that a look into all of them stays cheap."""
AHEAD = 3
"""Partitions that are made before their time."""
LOCK_TIMEOUT = "200ms"
"""How long a change waits for its lock: whoever writes waits behind it. It is tried again at the next round."""
ADVISORY_LOCK = 0x70617274
"""The number of PostgreSQL's advisory lock of whoever changes partitions."""

_FIND = text(
    "SELECT c.relname, pg_get_expr(c.relpartbound, c.oid)"
    " FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
    " WHERE i.inhparent = to_regclass(:parent)"
)
_BOUNDS = re.compile(r"FROM \('([^']*)'\) TO \('([^']*)'\)")
_INDEXES = text(
    "SELECT c.relname, pg_get_indexdef(c.oid) definition, pg_get_constraintdef(k.oid) key,"
    " i.indisunique AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = i.indrelid"
    " AND a.attnum = ANY (i.indkey) AND a.attname = 'event_id') has_no_id"
    " FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
    " LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid"
    " WHERE i.indrelid = to_regclass(:parent)"
)


class _Settings(BaseSettings):
    database_url: DatabaseUrl


class Partition(NamedTuple):
    """A partition, and the ids in it: from the lower bound to below the upper one."""

    name: str
    lower: str
    upper: str


def find(session: Session, table: Table) -> list[Partition]:
    """Return a table's partitions but the default one, oldest first; none where it has no partitions."""
    if session.get_bind().dialect.name != "postgresql":
        return []
    rows = session.execute(_FIND, {"parent": table.name}).all()
    bounds = ((name, _BOUNDS.search(bound)) for name, bound in rows)
    found = [Partition(name, *each.groups()) for name, each in bounds if each]
    return sorted(found, key=lambda each: each.lower)


def within(table: Table, part: Partition) -> ColumnElement[bool]:
    """Return the condition that a row is in a partition: no other is looked into."""
    event_id = table.c.event_id
    return and_(event_id >= part.lower, event_id < part.upper)


def beside(session: Session, table: Table, before: datetime) -> ColumnElement[bool]:
    """Return the condition that a row is in none of the partitions that will be dropped whole.

    That is every row of a table without partitions; else those of the default partition, and of partitions that
    were over by then and are still there: something in them is kept.
    """
    parts = [each for each in find(session, table) if each.upper > bound(before)]
    if not parts:
        return true()
    event_id = table.c.event_id
    return or_(event_id < parts[0].lower, event_id >= parts[-1].upper)


def bound(moment: datetime) -> str:
    """Return what the id of no event of this time, or later, is below."""
    return str(first_id(moment))


def make_ahead(session: Session, table: Table) -> int:
    """Make the partitions of the next time, where the table has any; there is never more to do."""
    if not session.execute(_FIND, {"parent": table.name}).first():
        return 0
    parts, span = find(session, table), SPANS[table.name]
    newest = parts[-1].upper if parts else ""
    # Not the present one: who inserts into the default partition just now would be refused.
    begin = _begin_of(clock.now(), span) + span
    while bound(begin) < newest:
        begin += span
    while begin < clock.now() + AHEAD * span:
        _make(session, table.name, begin, begin + span)
        begin += span
    return 0


def _begin_of(moment: datetime, span: timedelta) -> datetime:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return epoch + (moment - epoch) // span * span


def _make(session: Session, table: str, begin: datetime, end: datetime) -> None:
    name = f"{table}_{begin:%Y%m%d}"
    try:
        with session.begin_nested():
            # Attached, and not made as a partition: that would keep out everybody who writes.
            session.execute(
                text(f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS)")
            )
            session.execute(
                text(
                    f"ALTER TABLE {table} ATTACH PARTITION {name} "
                    f"FOR VALUES FROM ('{bound(begin)}') TO ('{bound(end)}')"
                )
            )
    except IntegrityError:
        pass  # the default partition has rows of this time: they, and what follows them, stay there


def changing(session: Session) -> bool:
    """Return whether this transaction may change partitions: no other does, and nobody waits for it for long."""
    session.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
    lock = text("SELECT pg_try_advisory_xact_lock(:number)")
    return bool(session.scalar(lock, {"number": ADVISORY_LOCK}))


def freeze(session: Session, part: Partition) -> None:
    """Keep everybody from writing into a partition until this transaction ends: so what it has can be judged."""
    session.execute(text(f"LOCK TABLE {part.name} IN SHARE MODE"))


def drop(session: Session, part: Partition) -> None:
    """Drop a partition with all that it has."""
    session.execute(text(f"DROP TABLE {part.name}"))


def convert(connection: Connection, table: str) -> bool:
    """Make a table the default partition of a new one of its name; return whether it was not partitioned before.

    No row is copied. A unique key without the event's id stays one of the default partition alone.
    """
    if connection.execute(_FIND, {"parent": table}).first():
        return False
    indexes = connection.execute(_INDEXES, {"parent": table}).all()
    rest = f"{table}_default"
    for statement in (
        f"ALTER TABLE {table} RENAME TO {rest}",
        *(f"ALTER INDEX {each.relname} RENAME TO {each.relname}_0" for each in indexes),
        f"CREATE TABLE {table} (LIKE {rest} INCLUDING DEFAULTS) PARTITION BY RANGE (event_id)",
        *(_again(table, each) for each in indexes if not each.has_no_id),
        f"ALTER TABLE {table} ATTACH PARTITION {rest} DEFAULT",
        f"ALTER SEQUENCE IF EXISTS {table}_position_seq OWNED BY {table}.position",
    ):
        connection.exec_driver_sql(statement)
    return True


def _again(table: str, index: Row[Any]) -> str:
    if index.key:
        return f"ALTER TABLE {table} ADD CONSTRAINT {index.relname} {index.key}"
    return str(index.definition)


def _convert_all(engine: Engine) -> None:
    for table in SPANS:
        with engine.connect() as connection:
            is_parted = connection.execute(_FIND, {"parent": table}).first()
            connection.rollback()
            if table == "outbox" and not is_parted:
                # What found a position by its primary key finds it by this index.
                create_index(connection, "outbox_position", table, "(position)")
        with engine.begin() as connection:
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
            is_new = convert(connection, table)
        said = "has partitions now" if is_new else "had partitions already"
        sys.stdout.write(f"{table} {said}\n")


def main() -> int:
    """Convert the environment's database; return the exit status."""
    url = load(_Settings).database_url
    if is_sqlite(url):
        refuse("DATABASE_URL", "only tables on PostgreSQL have partitions", url)
    engine = open_engine(url)
    try:
        _convert_all(engine)
    except DBAPIError as error:
        if not is_unavailable(error):
            raise
        said = str(error.orig).splitlines()[0]
        sys.stderr.write(
            f"Not now ({said}); start it again. What is done stays done.\n"
        )
        return os.EX_TEMPFAIL
    finally:
        engine.dispose()
    return 0


if __name__ == "__main__":
    sys.exit(main())
