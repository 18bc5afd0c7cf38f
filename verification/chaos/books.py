"""The books of a run: all that was accepted, stored, printed and mailed, in an SQLite file of the rig's own.

However many orders there are, little of them is in memory: what is read goes into the file row by row, and
the ledger (verification/chaos/ledger.py) asks the file.
"""

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

SCHEMA = """
CREATE TABLE accepted (order_id TEXT PRIMARY KEY, channel TEXT) WITHOUT ROWID;
CREATE TABLE orders (order_id TEXT PRIMARY KEY, shown TEXT) WITHOUT ROWID;
CREATE TABLE event (event_id TEXT PRIMARY KEY, order_id TEXT, state TEXT) WITHOUT ROWID;
CREATE TABLE handled (event_id TEXT PRIMARY KEY, arrival TEXT) WITHOUT ROWID;
CREATE TABLE notification
    (order_id TEXT PRIMARY KEY, state TEXT, version INTEGER) WITHOUT ROWID;
CREATE TABLE held
    (order_id TEXT PRIMARY KEY, version INTEGER, keyed INTEGER, in_doubt INTEGER, reason TEXT) WITHOUT ROWID;
CREATE TABLE received (order_id TEXT, channel TEXT);
CREATE TABLE dead_letter (reason TEXT, forged INTEGER);
CREATE INDEX event_order ON event (order_id);
CREATE INDEX received_order ON received (order_id);
"""
"""Ids of orders are in hex, without hyphens. `received` has a row for each line and each mail; its `channel` is
"line", or where the mail went. In `accepted` it is the channel by which the customer is to be notified. `held`
has more of each notification that is HELD."""


class Books:
    """The books in this new file; without one, in memory."""

    def __init__(self, file: Path | None = None) -> None:
        # They are of this run alone: nothing has to outlive its process. One thread uses them at a time.
        self._rows = sqlite3.connect(
            file or ":memory:", isolation_level=None, check_same_thread=False
        )
        self._rows.execute("PRAGMA journal_mode = OFF")
        self._rows.execute("PRAGMA synchronous = OFF")
        self._rows.executescript(SCHEMA)

    def accepted(self, order_id: str, channel: str = "line") -> None:
        """Record an order that was answered 201, and how its customer is to be notified."""
        self.write("accepted", [(plain(order_id), channel)])

    def write(self, table: str, rows: Iterable[tuple[object, ...]]) -> None:
        """Record rows, as wide as the table is."""
        for row in rows:
            values = ", ".join("?" * len(row))
            self._rows.execute(f"INSERT INTO {table} VALUES ({values})", row)

    def allow_one_mail(self) -> None:
        """Allow no second mail for an unknown one: the server deduplicates."""
        self._rows.execute("UPDATE notification SET version = 1")

    def order_what_was_received(self) -> None:
        """Record as orders what customers were notified of: all that is known of a program without records."""
        self._rows.execute(
            "INSERT INTO orders SELECT DISTINCT order_id, '' FROM received"
        )

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        return self._rows.execute(statement).fetchall()

    def number(self, statement: str) -> int:
        """Return the number that a query finds."""
        return int(self.rows(statement)[0][0] or 0)

    def close(self) -> None:
        """Close the file."""
        self._rows.close()


def plain(identity: object) -> str:
    """Return an id in hex, without hyphens."""
    return str(identity).replace("-", "")
