"""The feed on SQLite, where one writer commits in the order of the positions."""

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session

from tests.support.database import migrated
from tests.support.feeds import Feed


@pytest.fixture
async def feed(tmp_path: Path) -> AsyncIterator[Feed]:
    """Return a feed that is empty."""
    database = migrated("order", tmp_path)
    yield Feed(database)
    await database.close()


async def test_a_page_is_found_by_its_positions_and_not_by_a_scan(feed: Feed) -> None:
    await feed.says_orders(5)
    after = (await feed.page(limit=2))["next"]
    asked: list[tuple[str, Any]] = []

    def note(*arguments: Any) -> None:  # noqa: ANN401 - SQLAlchemy's six
        asked.append(arguments[2:4])

    event.listen(feed.database.engine, "before_cursor_execute", note)
    await feed.page(after=after)
    event.remove(feed.database.engine, "before_cursor_execute", note)

    pages = [each for each in asked if "topic" in each[0]]
    steps = [
        await feed.database.read(partial(plan, statement, values))
        for statement, values in pages
    ]
    searched = "SEARCH outbox USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"
    assert steps == [[searched], [searched]]


def plan(statement: str, values: tuple[Any, ...], session: Session) -> list[str]:
    """Return how SQLite carries a statement out."""
    connection = session.connection()
    explained = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
    return [row.detail for row in explained]
