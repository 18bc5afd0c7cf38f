"""Units of work: a commit stays, writers take turns, readers wait for nobody, and the event loop turns."""

import asyncio
import platform
import sqlite3
import threading
from contextlib import closing, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, insert, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from chassis.database import Database
from chassis.database.engine import WRITERS, open_engine, sqlite_file
from chassis.runtime import clock
from tests.chassis.database.conftest import Open
from tests.chassis.database.entries import count, entry, insert_one, rows
from tests.support.eventually import eventually

on_sqlite = pytest.mark.parametrize("url", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("url", ["postgresql"], indirect=True)

END_OTHERS = (
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


class Unit:
    """A unit of work that inserts a row, and ends when a test allows it."""

    def __init__(self) -> None:
        self.has_begun, self.may_end = threading.Event(), threading.Event()

    def __call__(self, session: Session) -> None:
        """Insert a row and wait."""
        insert_one(session)
        self.has_begun.set()
        assert self.may_end.wait(30)

    async def begins(self) -> None:
        """Wait until it has begun."""
        await asyncio.to_thread(self.has_begun.wait, 30)


def increment(session: Session) -> None:
    """Read a number and write the next one, as a command that decides by what it sees."""
    number = session.scalar(select(entry.c.number).with_for_update())
    assert number is not None
    session.execute(update(entry).values(number=number + 1))


async def set_of(database: Database, name: str) -> set[Any]:
    """Return the values that a setting has on readers' and on writers' connections."""
    statement = text(f"SHOW {name}" if database.is_shared else f"PRAGMA {name}")

    def ask(session: Session) -> Any:  # noqa: ANN401 - a setting may be anything
        return session.scalar(statement)

    return {await database.read(ask), await database.write(ask)}


@on_sqlite
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("journal_mode", "wal"),
        ("synchronous", 2),
        ("foreign_keys", 1),
        ("busy_timeout", 5000),
    ],
)
async def test_a_commit_to_a_file_survives_a_power_failure(
    database: Database, name: str, value: object
) -> None:
    assert await set_of(database, name) == {value}


def test_nobody_else_can_read_a_file_of_a_database(tmp_path: Path) -> None:
    file = tmp_path / "customers.db"
    file.touch()
    file.chmod(0o644)  # as an earlier version, or another program, left it

    with open_engine(f"sqlite:///{file}").connect() as connection:
        connection.execute(text("CREATE TABLE customer (name text)"))
        files = [*tmp_path.glob("customers.db*")]

    assert len(files) == 3
    assert not [each for each in files if each.stat().st_mode & 0o077]


@on_postgresql
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("synchronous_commit", "on"),
        ("idle_in_transaction_session_timeout", "30s"),
        ("statement_timeout", "30s"),
    ],
)
async def test_a_commit_to_a_server_survives_it_and_no_transaction_stays_open(
    database: Database, name: str, value: object
) -> None:
    assert await set_of(database, name) == {value}


async def test_what_a_unit_wrote_is_there_after_it_and_its_result_is_returned(
    database: Database,
) -> None:
    def work(session: Session) -> int:
        insert_one(session)
        return count(session)

    assert await database.write(work) == 1
    assert await rows(database) == 1


async def test_a_unit_that_fails_leaves_nothing(database: Database) -> None:
    def work(session: Session) -> None:
        insert_one(session)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await database.write(work)

    assert await rows(database) == 0
    await database.write(insert_one)
    assert await rows(database) == 1


async def test_a_unit_may_take_back_a_part_of_what_it_did(database: Database) -> None:
    def work(session: Session) -> None:
        insert_one(session)
        with suppress(ZeroDivisionError), session.begin_nested():
            insert_one(session)
            raise ZeroDivisionError

    await database.write(work)

    assert await rows(database) == 1


async def test_rows_can_be_used_after_their_unit(database: Database) -> None:
    def work(session: Session) -> Any:  # noqa: ANN401 - a row
        insert_one(session)
        return session.execute(select(entry)).one()

    assert (await database.write(work)).number == 0


async def test_a_unit_knows_its_service_and_its_surroundings(url: str) -> None:
    then = datetime(2026, 1, 31, tzinfo=UTC)
    database = Database(url, "test")
    token = clock.current.set(clock.Surroundings(lambda: then))
    try:
        for run in (database.read, database.write):
            found = await run(lambda session: (session.info["service"], clock.now()))
            assert found == ("test", then)
    finally:
        clock.current.reset(token)
        await database.close()


async def test_the_event_loop_turns_while_a_unit_waits(database: Database) -> None:
    unit = Unit()
    writing = asyncio.create_task(database.write(unit))
    await unit.begins()

    for _ in range(3):
        await asyncio.sleep(0)
    assert not writing.done()
    unit.may_end.set()
    await writing

    assert await rows(database) == 1


async def test_a_caller_that_is_cancelled_holds_up_nobody(database: Database) -> None:
    unit = Unit()
    task = asyncio.create_task(database.write(unit))
    await unit.begins()
    task.cancel()
    await asyncio.wait([task])

    unit.may_end.set()
    await asyncio.wait_for(database.write(insert_one), 10)

    async def both_are_there() -> bool:
        return await rows(database) == 2

    await eventually(both_are_there, "the unit that had begun is committed")


@on_sqlite
async def test_a_writer_takes_its_place_with_its_first_statement_even_a_query(
    database: Database,
) -> None:
    file = sqlite_file(database.url)

    def work(session: Session) -> None:
        session.scalar(select(entry.c.id))
        with (
            closing(sqlite3.connect(file, timeout=0)) as other,
            pytest.raises(sqlite3.OperationalError, match="locked"),
        ):
            other.execute("BEGIN IMMEDIATE")

    await database.write(work)


async def test_a_reader_does_not_wait_for_writers_and_sees_only_what_is_committed(
    database: Database,
) -> None:
    units = [Unit() for _ in range(WRITERS)]
    writing = [asyncio.create_task(database.write(each)) for each in units]
    await units[0].begins()

    assert await asyncio.wait_for(rows(database), 10) == 0

    for each in units:
        each.may_end.set()
    await asyncio.gather(*writing)
    assert await rows(database) == WRITERS


@on_sqlite
async def test_a_writer_does_not_wait_for_a_reader_whose_view_stays_as_it_was(
    database: Database,
) -> None:
    has_begun, may_end = threading.Event(), threading.Event()

    def read(session: Session) -> tuple[int, int]:
        before = count(session)
        has_begun.set()
        assert may_end.wait(30)
        return before, count(session)

    reading = asyncio.create_task(database.read(read))
    await asyncio.to_thread(has_begun.wait, 30)
    await asyncio.wait_for(database.write(insert_one), 10)
    may_end.set()

    assert await reading == (0, 0)
    assert await rows(database) == 1


async def test_writers_beyond_the_threads_all_succeed(database: Database) -> None:
    await asyncio.gather(*(database.write(insert_one) for _ in range(100)))

    assert await rows(database) == 100


@on_postgresql
async def test_on_a_server_some_units_run_at_once(database: Database) -> None:
    units = [Unit() for _ in range(WRITERS)]
    writing = [asyncio.create_task(database.write(each)) for each in units]

    for each in units:
        await each.begins()
        assert each.has_begun.is_set()

    for each in units:
        each.may_end.set()
    await asyncio.gather(*writing)


@on_sqlite
async def test_writers_of_one_process_take_turns_before_they_reach_the_file(
    database: Database,
) -> None:
    """Those who wait at the file are served by chance, and after five seconds it is "locked"."""
    connected = database.engine, "connect"
    event.listen(*connected, lambda made, _: made.execute("PRAGMA busy_timeout=0"))

    await asyncio.gather(*(database.write(insert_one) for _ in range(50)))

    assert await rows(database) == 50


async def test_writers_of_several_processes_do_not_overwrite_each_other(
    database: Database, opened: Open
) -> None:
    await database.write(insert_one)
    processes = [database, opened(), opened()]

    await asyncio.gather(*(each.write(increment) for each in processes * 10))

    assert await database.read(lambda s: s.scalar(select(entry.c.number))) == 30


def test_a_loop_has_one_lock_for_each_file_or_for_each_replica(opened: Open) -> None:
    first, second = opened(), opened()

    same = first.lock_file("relay") == second.lock_file("relay")

    assert same is not first.is_shared
    assert first.lock_file("relay") != first.lock_file("retention")
    assert first.lock_file("relay") == first.lock_file("relay")


async def test_an_error_does_not_show_what_was_to_be_written(
    database: Database,
) -> None:
    """It goes to logs and dead letters; what customers sent does not."""

    def work(session: Session) -> None:
        session.execute(insert(entry).values(id=1, number=4711))
        session.execute(insert(entry).values(id=1, number=4711))

    with pytest.raises(IntegrityError) as raised:
        await database.write(work)

    assert "4711" not in str(raised.value)


@on_postgresql
async def test_a_connection_that_ended_while_nobody_wrote_is_met_by_no_unit(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(session: Session) -> None:
        session.execute(text(END_OTHERS))

    await database.write(insert_one)
    await database.read(end)

    monkeypatch.setattr("chassis.database.database.KEPT", 0)
    await database.write(insert_one)

    assert await rows(database) == 2


async def test_closing_waits_for_units_and_ends_every_thread_and_connection(
    url: str,
) -> None:
    database = Database(url, "closing")
    unit = Unit()
    await database.write(lambda s: entry.metadata.create_all(s.connection()))
    writing = asyncio.create_task(database.write(unit))
    reading = [asyncio.create_task(rows(database)) for _ in range(10)]
    await unit.begins()

    closing_it = asyncio.create_task(database.close())
    unit.may_end.set()
    await asyncio.wait_for(closing_it, 30)

    await asyncio.gather(writing, *reading)
    names = [thread.name for thread in threading.enumerate()]
    assert [name for name in names if name.startswith("closing")] == []
    assert database.engine.pool.checkedin() == 0  # type: ignore[attr-defined]


async def test_a_closed_database_leaves_one_file_behind(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/x.db", "test")
    await asyncio.gather(
        *(database.write(partial(_create, number)) for number in range(3))
    )

    await database.close()

    assert _files_in(tmp_path) == ["x.db"]


def _create(number: int, session: Session) -> None:
    session.execute(text(f"CREATE TABLE t{number} (x)"))


def _files_in(folder: Path) -> list[str]:
    return [each.name for each in folder.iterdir()]


def test_an_owner_fits_its_columns_however_long_the_name_of_the_host(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/test.db"
    monkeypatch.setattr(platform, "node", lambda: "a" * 253)

    first, second = (Database(url, "test", port).owner for port in ("3500", "3501"))

    assert len(first) == len(second) == 64
    assert first != second
