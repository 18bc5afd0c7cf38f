"""The books of a run: all that was accepted, stored and said, in an SQLite file of the rig's own.

However many orders there are, little of them is in memory: what is read goes into the file row by row, and
the ledger (verification/chaos/ledger.py) asks the file.
"""

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

SCHEMA = """
CREATE TABLE accepted (order_id TEXT PRIMARY KEY, way TEXT) WITHOUT ROWID;
CREATE TABLE orders (order_id TEXT PRIMARY KEY, shown TEXT) WITHOUT ROWID;
CREATE TABLE event (event_id TEXT PRIMARY KEY, order_id TEXT, state TEXT) WITHOUT ROWID;
CREATE TABLE taken (event_id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE notification
    (order_id TEXT PRIMARY KEY, state TEXT, version INTEGER) WITHOUT ROWID;
CREATE TABLE held
    (order_id TEXT PRIMARY KEY, version INTEGER, keyed INTEGER, in_doubt INTEGER, reason TEXT) WITHOUT ROWID;
CREATE TABLE told (order_id TEXT, way TEXT);
CREATE TABLE dead_letter (reason TEXT, forged INTEGER);
CREATE TABLE said (what TEXT, number INTEGER);
CREATE INDEX event_order ON event (order_id);
CREATE INDEX told_order ON told (order_id);
"""
"""Ids of orders are in hex, without hyphens. `told` has a row for each line and each mail; its `way` is
"line", or where the mail went. `held` has more of each notification that is HELD. In `accepted` it is the way
by which the customer is to be told."""


class Books:
    """The books in this file, which is made anew; without one, in memory."""

    def __init__(self, file: Path | None = None) -> None:
        # They are of this run alone: nothing has to outlive its process.
        self._rows = sqlite3.connect(file or ":memory:", isolation_level=None)
        self._rows.execute("PRAGMA journal_mode = OFF")
        self._rows.execute("PRAGMA synchronous = OFF")
        self._rows.executescript(SCHEMA)

    def accepted(self, order_id: str, way: str = "line") -> None:
        """Write an order down that was answered 201, and how its customer is to be told."""
        self.write("accepted", [(plain(order_id), way)])

    def write(self, table: str, rows: Iterable[tuple[object, ...]]) -> None:
        """Write rows down, as wide as the table is."""
        for row in rows:
            values = ", ".join("?" * len(row))
            self._rows.execute(f"INSERT INTO {table} VALUES ({values})", row)  # noqa: S608

    def allow_one_mail(self) -> None:
        """Allow no second mail for one that was unknown: they went to a server that knows each again."""
        self._rows.execute("UPDATE notification SET version = 1")

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Ask the books."""
        return self._rows.execute(statement).fetchall()

    def number(self, statement: str) -> int:
        """Ask the books for a number."""
        return int(self.rows(statement)[0][0] or 0)

    def close(self) -> None:
        """Close the file."""
        self._rows.close()


def plain(identity: object) -> str:
    """Give an id in hex, without hyphens."""
    return str(identity).replace("-", "")
