"""A time that is stored comes back as the same moment, whatever its zone and whatever the database keeps."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, insert, select

from chassis.database.unit_of_work import Database, Utc

metadata = MetaData()
entry = Table(
    "entry", metadata, Column("id", Integer, primary_key=True), Column("at", Utc)
)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """Open a database with an empty table."""
    made = Database(f"sqlite+aiosqlite:///{tmp_path}/test.db", "test")
    async with made.write() as session:
        await (await session.connection()).run_sync(metadata.create_all)
    yield made
    await made.close()


@pytest.mark.parametrize(
    "zone",
    [UTC, timezone(timedelta(hours=5.5)), timezone(timedelta(hours=-8))],
    ids=str,
)
async def test_a_time_comes_back_as_the_same_moment_in_utc(
    database: Database, zone: timezone
) -> None:
    moment = datetime(2026, 1, 31, 23, 59, 59, 123_456, zone)

    async with database.write() as session:
        await session.execute(insert(entry).values(at=moment))

    async with database.read() as session:
        stored = await session.scalar(select(entry.c.at))
        earlier = select(entry.c.at < moment + timedelta(microseconds=1))
        assert await session.scalar(earlier)
    assert stored == moment
    assert stored.tzinfo is UTC


async def test_no_time_is_no_time(database: Database) -> None:
    async with database.write() as session:
        await session.execute(insert(entry))

    async with database.read() as session:
        assert (await session.execute(select(entry.c.at))).scalar_one() is None
