"""Databases with one empty table, on SQLite and on PostgreSQL."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from chassis.database import Database
from tests.chassis.database.entries import metadata

Open = Callable[[], Database]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Return the URL of an empty database: the test runs on both."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/test.db"
        return
    with request.getfixturevalue("databases").fresh() as fresh:
        yield fresh


@pytest.fixture
async def opened(url: str) -> AsyncIterator[Open]:
    """Open one database as often as a test likes, each as a process of its own would; close all at the end."""
    databases: list[Database] = []

    def open_database() -> Database:
        databases.append(Database(url, "test", str(len(databases))))
        return databases[-1]

    await open_database().write(
        lambda session: metadata.create_all(session.connection())
    )
    yield open_database
    for each in databases:
        await each.close()


@pytest.fixture
def database(opened: Open) -> Database:
    """Open a database with an empty table."""
    return opened()
