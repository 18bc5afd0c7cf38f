"""Group commit: units that wait together commit together, fail alone, and hear nothing before their commit."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest
from sqlalchemy import event, insert, text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as SQLAlchemyTimeout
from sqlalchemy.orm import Session, registry

from chassis.database import (
    Database,
    after_commit,
    group_commit,
    is_unavailable,
    wake,
)
from chassis.database.engine import WRITERS
from chassis.database.transient import CommitFailed
from chassis.errors import Rejected
from tests.chassis.database.entries import entry, rows
from tests.support.database import followed

LANE = "commands"
DEFERRED = "CREATE TABLE child (parent integer REFERENCES entry (id) DEFERRABLE INITIALLY DEFERRED)"


def create_child(session: Session) -> None:
    """Create a table whose foreign key is checked by COMMIT."""
    session.execute(text(DEFERRED))


class Entry:
    """A row of the table as a mapped object, which a flush writes."""

    def __init__(self, number: int) -> None:
        self.id = number


registry().map_imperatively(Entry, entry)


def add(number: int) -> Callable[[Session], int]:
    """Return a unit that adds an object, which the flush at the end writes."""

    def work(session: Session) -> int:
        session.add(Entry(number))
        return number

    return work


@contextmanager
def counting_commits(database: Database) -> Iterator[list[str]]:
    """Write down each commit of a database."""
    commits: list[str] = []

    def note(_connection: object) -> None:
        commits.append("commit")

    event.listen(database.engine, "commit", note)
    try:
        yield commits
    finally:
        event.remove(database.engine, "commit", note)


def holding(gate: threading.Event) -> Callable[[Session], None]:
    """Return a unit that occupies a writer until the gate is opened."""

    def work(session: Session) -> None:
        session.execute(text("SELECT 1"))
        assert gate.wait(30)

    return work


async def together(
    database: Database, *works: Callable[[Session], object]
) -> list[object]:
    """Run units that meet in one group; return their results or errors."""
    gate = threading.Event()
    writers = WRITERS if database.is_shared else 1
    held = [asyncio.create_task(database.write(holding(gate))) for _ in range(writers)]
    await asyncio.sleep(0)
    waiting = [asyncio.create_task(database.write(work, LANE)) for work in works]
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(*held)
    return await asyncio.gather(*waiting, return_exceptions=True)


def insert_row(number: int) -> Callable[[Session], int]:
    """Return a unit that inserts a row and returns its number."""

    def work(session: Session) -> int:
        session.execute(insert(entry).values(id=number, number=number))
        return number

    return work


async def test_units_that_wait_together_share_one_commit(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "LONGEST", 60.0)  # however busy the machine is
    with counting_commits(database) as commits:
        results = await together(database, *map(insert_row, range(1, 21)))

    writers = WRITERS if database.is_shared else 1
    assert results == list(range(1, 21))
    assert len(commits) == writers + 1
    assert await rows(database) == 20


async def test_a_unit_that_finds_the_writer_free_waits_for_no_other(
    database: Database,
) -> None:
    with counting_commits(database) as commits:
        for number in range(1, 4):
            assert await database.write(insert_row(number), LANE) == number

    assert len(commits) == 3


async def test_a_unit_that_fails_takes_no_other_with_it_and_has_its_own_error(
    database: Database,
) -> None:
    def refuse(session: Session) -> None:
        insert_row(99)(session)
        raise Rejected("no")

    works = [insert_row(1), refuse, insert_row(2), insert_row(1), insert_row(3)]
    results = await together(database, *works)

    assert [results[0], results[2], results[4]] == [1, 2, 3]
    assert isinstance(results[1], Rejected)
    assert isinstance(results[3], IntegrityError)
    assert await rows(database) == 3


async def test_what_only_the_flush_of_all_finds_is_found_by_halves(
    database: Database,
) -> None:
    await database.write(add(3))
    results = await together(database, *map(add, [1, 2, 3, 4]))

    assert [results[0], results[1], results[3]] == [1, 2, 4]
    assert isinstance(results[2], IntegrityError)
    assert await rows(database) == 4


async def test_a_commit_that_fails_is_every_units_and_none_is_run_again(
    database: Database,
) -> None:
    runs: list[int] = []
    await database.write(create_child)

    def orphan(session: Session) -> None:
        runs.append(2)
        session.execute(text("INSERT INTO child VALUES (-1)"))

    def sound(session: Session) -> int:
        runs.append(1)
        return insert_row(1)(session)

    results = await together(database, sound, orphan)

    assert [type(each) for each in results] == [CommitFailed, CommitFailed]
    assert all(isinstance(each, Exception) and is_unavailable(each) for each in results)
    assert runs == [1, 2]
    assert await rows(database) == 0


async def test_a_commit_that_never_left_is_of_unknown_outcome_too(
    database: Database,
) -> None:
    runs: list[int] = []

    def cut_off() -> None:
        raise OperationalError("COMMIT", None, psycopg.OperationalError("cut off"))

    def unlucky(session: Session) -> None:
        runs.append(1)
        session.execute(text("SELECT 1"))
        session.connection().commit = cut_off  # type: ignore[method-assign]

    results = await together(database, unlucky, unlucky)

    assert [type(each) for each in results] == [CommitFailed, CommitFailed]
    assert len(runs) == 2
    assert await database.write(insert_row(1)) == 1


async def test_hooks_hang_on_the_unit_and_on_the_run_that_committed(
    database: Database,
) -> None:
    acts: list[int] = []

    def hooked(number: int) -> Callable[[Session], int]:
        def work(session: Session) -> int:
            after_commit(session, lambda: acts.append(number))
            wake(session, f"signal {number}")
            return insert_row(number)(session)

        return work

    await together(database, hooked(1), hooked(1), hooked(2))
    await followed(database)

    assert acts == [1, 2]
    assert database.signal("signal 1").is_set()
    assert database.signal("signal 2").is_set()


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
async def test_lanes_are_never_mixed_and_take_turns(database: Database) -> None:
    seen: list[str] = []
    gate = threading.Event()

    def of(lane: str) -> Callable[[Session], None]:
        def work(session: Session) -> None:
            seen.append(f"{lane} {session.scalar(text('SELECT 1'))}")

        return work

    with counting_commits(database) as commits:
        held = asyncio.create_task(database.write(holding(gate)))
        await asyncio.sleep(0)
        lanes = ["a", "b", "a", "", "b", ""]
        waiting = [
            asyncio.create_task(database.write(of(lane), lane)) for lane in lanes
        ]
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(held, *waiting)

    assert seen == ["a 1", "a 1", "b 1", "b 1", " 1", " 1"]
    assert len(commits) == 1 + 4  # the one that held the writer, a, b, and two alone


@pytest.mark.parametrize("position", [0, 2, 4])
async def test_whoever_is_cancelled_while_waiting_holds_up_nobody(
    database: Database, position: int
) -> None:
    gate = threading.Event()
    held = asyncio.create_task(database.write(holding(gate)))
    await asyncio.sleep(0)
    works = map(insert_row, range(1, 6))
    waiting = [asyncio.create_task(database.write(work, LANE)) for work in works]
    await asyncio.sleep(0)

    waiting[position].cancel()
    gate.set()
    results = await asyncio.gather(held, *waiting, return_exceptions=True)

    others = [each for number, each in enumerate(results[1:]) if number != position]
    assert others == [each for each in range(1, 6) if each != position + 1]


async def test_a_handler_that_raises_stop_iteration_stops_no_writer(
    database: Database,
) -> None:
    """No future takes a StopIteration."""

    def careless(_: Session) -> object:
        return next(iter(()))

    for access in (database.write, database.read):
        with pytest.raises(RuntimeError, match="StopIteration"):
            await access(careless)
    assert await database.write(insert_row(1)) == 1


async def test_an_outage_is_every_units_at_once(database: Database) -> None:
    runs: list[int] = []

    def meet_outage(number: int) -> Callable[[Session], None]:
        def work(_: Session) -> None:
            runs.append(number)
            raise SQLAlchemyTimeout("no connection is free")

        return work

    results = await together(database, *map(meet_outage, range(10)))

    assert {type(each) for each in results} == {SQLAlchemyTimeout}
    assert runs == [0]


async def test_a_deadlock_is_no_outage_and_the_group_runs_again(
    database: Database,
) -> None:
    deadlocks = [OperationalError("INSERT", None, psycopg.errors.DeadlockDetected())]

    def meet_deadlock(session: Session) -> int:
        if deadlocks:
            raise deadlocks.pop()
        return insert_row(2)(session)

    results = await together(database, insert_row(1), meet_deadlock, insert_row(3))

    assert results == [1, 2, 3]
    assert await rows(database) == 3
