"""Databases as text: a whole one dumped as SQL, and made again from it, on SQLite and on PostgreSQL."""

import re
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing

import psycopg
from sqlalchemy import Inspector, inspect

from chassis.database.engine import is_sqlite, open_engine, sqlite_file
from toolchain.machine import this_machine
from toolchain.servers import postgresql

PLAIN = ("--no-owner", "--no-privileges", "--inserts", "--no-comments")


def dump(url: str) -> str:
    """Return the SQL that makes a database, with its rows."""
    if is_sqlite(url):
        with closing(sqlite3.connect(sqlite_file(url))) as connection:
            return "\n".join(connection.iterdump()) + "\n"
    program = postgresql.provided_programs(this_machine()) / "pg_dump"
    said = subprocess.run(
        [program, *PLAIN, url], check=True, capture_output=True, text=True
    ).stdout
    # What only psql understands, and what a server of another version may not know.
    lines = [line for line in said.splitlines() if not line.startswith(("--", "\\"))]
    kept = [line for line in lines if not re.match(r"SET \w+ = |$", line)]
    return "\n".join(kept) + "\n"


def load(url: str, text: str) -> None:
    """Make this dump's tables and rows in an empty database."""
    if is_sqlite(url):
        with closing(sqlite3.connect(sqlite_file(url))) as connection:
            connection.executescript(text)
        return
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(text.encode())
    with psycopg.connect(url, autocommit=True) as connection:
        _pass_transactions(connection)


def _pass_transactions(connection: psycopg.Connection) -> None:
    # The feed is in the order of transactions' numbers: this cluster's go on above those of the dump.
    last = connection.execute('SELECT max("transaction") FROM outbox').fetchone()
    while True:
        row = connection.execute("SELECT pg_current_xact_id()::text::bigint").fetchone()
        if not last or not last[0] or (row and row[0] > last[0]):
            return


def structure(url: str) -> set[str]:
    """Return every column, index and constraint of a database, as SQLAlchemy sees them."""
    engine = open_engine(url)
    try:
        looked = inspect(engine)
        return {
            line for table in looked.get_table_names() for line in _table(looked, table)
        }
    finally:
        engine.dispose()


def _table(looked: Inspector, table: str) -> Iterator[str]:
    for column in looked.get_columns(table):
        null, default = column["nullable"], column["default"]
        yield f"{table}.{column['name']}: {column['type']!r} {null=} {default=}"
    yield f"{table}: {looked.get_pk_constraint(table)['constrained_columns']}"
    for unique in looked.get_unique_constraints(table):
        yield f"{table}: unique {unique['column_names']}"
    for index in looked.get_indexes(table):
        # Its casts and brackets are written otherwise once a dump was loaded.
        where = " ".join(map(str, index.get("dialect_options", {}).values()))
        where = re.sub(r"::[\w ]+(\[\])?|[()]", "", where)
        yield f"{table}: index {index['name']} {index['column_names']} {index['unique']} {where}"
