"""The database: what is committed stays, writers take turns, readers wait for nobody."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import (
    Column,
    Integer,
    MetaData,
    Table,
    event,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.exc import IntegrityError

from chassis.database.unit_of_work import Database, announce, sqlite_file

metadata = MetaData()
entry = Table(
    "entry",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("number", Integer, nullable=False, default=0),
)
Open = Callable[[], Database]


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Open]:
    """Open one database as often as a test likes, each as a process of its own would, and close all."""
    databases: list[Database] = []

    def open_database() -> Database:
        url = f"sqlite+aiosqlite:///{tmp_path}/test.db"
        databases.append(Database(url, "test"))
        return databases[-1]

    async with open_database().write() as session:
        await (await session.connection()).run_sync(metadata.create_all)
    yield open_database
    for each in databases:
        await each.close()


@pytest.fixture
def database(opened: Open) -> Database:
    """Open a database with an empty table."""
    return opened()


async def rows(database: Database) -> int:
    """Count the rows."""
    async with database.read() as session:
        return await session.scalar(select(func.count()).select_from(entry)) or 0


async def write_one(database: Database) -> None:
    """Write a row in a transaction of its own."""
    async with database.write() as session:
        await session.execute(insert(entry))


async def count_up(database: Database) -> None:
    """Read a number and write the next one, as a command that decides by what it sees would."""
    async with database.write() as session:
        number = await session.scalar(select(entry.c.number))
        assert number is not None
        await session.execute(update(entry).values(number=number + 1))


@pytest.mark.parametrize(
    ("pragma", "value"),
    [
        ("journal_mode", "wal"),
        ("synchronous", 2),
        ("foreign_keys", 1),
        ("busy_timeout", 5000),
    ],
)
async def test_a_commit_survives_a_power_failure(
    database: Database, pragma: str, value: object
) -> None:
    async with database.read() as reader, database.write() as writer:
        for session in (reader, writer):
            assert await session.scalar(text(f"PRAGMA {pragma}")) == value


async def test_what_a_transaction_wrote_is_there_after_it(database: Database) -> None:
    await write_one(database)

    assert await rows(database) == 1


async def test_a_transaction_that_fails_leaves_nothing(database: Database) -> None:
    async def fail() -> None:
        async with database.write() as session:
            await session.execute(insert(entry))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()

    assert await rows(database) == 0
    await write_one(database)


async def test_a_writer_that_is_cancelled_leaves_nothing_and_holds_nobody_up(
    database: Database,
) -> None:
    writing = asyncio.Event()

    async def write_for_ever() -> None:
        async with database.write() as session:
            await session.execute(insert(entry))
            writing.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(write_for_ever())
    await writing.wait()
    task.cancel()
    await asyncio.wait([task])

    await asyncio.wait_for(write_one(database), 2)
    assert await rows(database) == 1


async def test_a_writer_takes_its_place_with_its_first_statement_even_a_query(
    database: Database,
) -> None:
    file = sqlite_file(database.url)

    async with database.write() as session:
        await session.scalar(select(entry.c.id))
        with (
            closing(sqlite3.connect(file, timeout=0)) as other,
            pytest.raises(sqlite3.OperationalError, match="locked"),
        ):
            other.execute("BEGIN IMMEDIATE")


async def test_a_reader_is_not_held_up_by_a_writer_and_sees_only_what_is_committed(
    database: Database,
) -> None:
    async with database.write() as session:
        await session.execute(insert(entry))

        assert await asyncio.wait_for(rows(database), 1) == 0

    assert await rows(database) == 1


async def test_a_writer_is_not_held_up_by_a_reader_whose_view_stays_as_it_was(
    database: Database,
) -> None:
    counted = select(func.count()).select_from(entry)

    async with database.read() as session:
        assert await session.scalar(counted) == 0
        await asyncio.wait_for(write_one(database), 1)
        assert await session.scalar(counted) == 0

    assert await rows(database) == 1


async def test_many_writers_all_succeed(database: Database) -> None:
    await asyncio.gather(*(write_one(database) for _ in range(100)))

    assert await rows(database) == 100


async def test_writers_of_one_process_take_turns_before_they_reach_the_file(
    database: Database,
) -> None:
    """Whoever waited at the file would wait by chance, and be told after five seconds that it is locked."""
    connected = database.engine.sync_engine, "connect"
    event.listen(*connected, lambda made, _: made.execute("PRAGMA busy_timeout=0"))

    await asyncio.gather(*(write_one(database) for _ in range(50)))

    assert await rows(database) == 50


def test_on_one_file_there_is_one_loop_of_a_kind(opened: Open) -> None:
    first, second = opened(), opened()

    assert first.lock_file("relay") == second.lock_file("relay")
    assert first.lock_file("relay") != first.lock_file("housekeeping")


async def test_writers_of_several_processes_do_not_overwrite_each_other(
    database: Database, opened: Open
) -> None:
    await write_one(database)
    processes = [database, opened(), opened()]

    await asyncio.gather(*(count_up(each) for each in processes for _ in range(10)))

    async with database.read() as session:
        assert await session.scalar(select(entry.c.number)) == 30


async def test_who_waits_is_woken_after_the_commit_and_not_before(
    database: Database,
) -> None:
    async with database.write() as session:
        await session.execute(insert(entry))
        announce(session, "news")
        assert not database.signal("news").is_set()

    assert database.signal("news").is_set()
    assert not database.signal("other").is_set()


async def test_nobody_is_woken_after_a_rollback(database: Database) -> None:
    async def fail() -> None:
        async with database.write() as session:
            announce(session, "news")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()

    assert not database.signal("news").is_set()
    await write_one(database)
    assert not database.signal("news").is_set()


async def test_nobody_is_woken_by_a_commit_that_fails(database: Database) -> None:
    # A deferred foreign key is checked by COMMIT itself.
    broken = (
        "CREATE TABLE broken (id REFERENCES entry (id) DEFERRABLE INITIALLY DEFERRED)"
    )

    async def fail() -> None:
        async with database.write() as session:
            await session.execute(text(broken))
            await session.execute(text("INSERT INTO broken VALUES (7)"))
            announce(session, "news")

    with pytest.raises(IntegrityError):
        await fail()

    assert not database.signal("news").is_set()
    assert await rows(database) == 0


async def test_an_error_does_not_tell_what_was_to_be_written(
    database: Database,
) -> None:
    """It goes to logs and dead letters; what customers sent does not."""

    async def write_twice() -> None:
        async with database.write() as session:
            await session.execute(insert(entry).values(id=4711))
            await session.execute(insert(entry).values(id=4711))

    with pytest.raises(IntegrityError) as told:
        await write_twice()

    assert "4711" not in str(told.value)
