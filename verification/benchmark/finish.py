"""The finish line: a notification's SENT row (ours), or the line that a peer prints when it handled it."""

import re
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

# Orders that were stored beforehand (fill.py) have ids before this one.
SENT = "FROM notification WHERE state = 'SENT' AND order_id > '01000000-0000-0000-0000-000000000000'"
COUNT = f"SELECT count(*) {SENT}"
PULLED = "SELECT count(*) FROM inbox WHERE reaction = 'notify_customer_on_order_created' AND arrival <> 'PUSHED'"
ROWS = f"SELECT order_id, sent_at {SENT}"
LINE = re.compile(
    rb"Notification for Order ([0-9a-f-]{36}): .*\t([\d.]+)$", re.MULTILINE
)


def count_rows(url: str) -> int:
    """Count the notifications that were sent, by SQL."""
    return _number(url, COUNT)


def count_pulled(url: str) -> int:
    """Count the orders that the pull brought before the broker did."""
    return _number(url, PULLED)


def _number(url: str, query: str) -> int:
    with closing(_connect(url)) as connection:
        (number,) = connection.execute(query).fetchone()
        return int(number)


def read_rows(url: str) -> dict[str, float]:
    """Return when each order's notification was sent."""
    with closing(_connect(url)) as connection:
        rows = connection.execute(ROWS).fetchall()
    return {str(UUID(str(order_id))): _epoch(sent_at) for order_id, sent_at in rows}


def _connect(url: str) -> Any:  # noqa: ANN401 - either driver's connection
    scheme, _, place = url.partition("://")
    if scheme.startswith("sqlite"):
        return sqlite3.connect(f"file:{place[1:]}?mode=ro", uri=True, timeout=5)
    return psycopg.connect(f"postgresql://{place}")


def _epoch(moment: object) -> float:
    parsed = datetime.fromisoformat(str(moment))
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()


def read_lines(logs: Iterable[Path]) -> dict[str, float]:
    """Return when a peer handled each order; the first time counts."""
    handled: dict[str, float] = {}
    for order_id, moment in LINE.findall(
        b"\n".join(each.read_bytes() for each in logs)
    ):
        handled.setdefault(order_id.decode(), float(moment))
    return handled
