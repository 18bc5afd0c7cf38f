"""The lock of a running service: replicas on any host share it, and a rebuild holds it alone."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Integer, Select, column, func, select, table, text

from chassis.database import Database, exclusive
from chassis.database.exclusive import ADVISORY_LOCK, InUse, alone, in_use
from chassis.database.indexes import create_index
from tests.support.database import on_postgresql, url_in
from tests.support.eventually import eventually
from tests.support.postgresql import Databases

HOLDERS: Select[int] = (
    select(column("pid", Integer))
    .select_from(table("pg_locks"))
    .where(column("objid") == ADVISORY_LOCK, column("granted"))
    .where(
        text(
            "database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
    )
)


@pytest.fixture
async def one(each_database: None, tmp_path: Path) -> AsyncIterator[Database]:
    """Open a database."""
    database = Database(url_in(tmp_path, "order"), "order", "one")
    yield database
    await database.close()


@pytest.fixture
async def another(one: Database) -> AsyncIterator[Database]:
    """Open the same database as a replica whose sidecar has another port."""
    database = Database(one.url, "order", "another")
    yield database
    await database.close()


async def test_while_a_service_runs_nobody_is_alone_whichever_replica_it_is(
    one: Database, another: Database
) -> None:
    async with in_use(one), in_use(another):
        with pytest.raises(InUse, match="stop it first"):
            async with alone(another):
                raise AssertionError

    async with in_use(one):
        with pytest.raises(InUse):
            async with alone(another):
                raise AssertionError


async def test_when_every_service_has_ended_a_rebuild_is_alone(
    one: Database, another: Database
) -> None:
    async with in_use(one), in_use(another):
        pass

    async with alone(one):
        with pytest.raises(InUse):
            async with alone(another):
                raise AssertionError


async def test_a_service_that_starts_meanwhile_waits_for_the_rebuild(
    one: Database, another: Database, caplog: pytest.LogCaptureFixture
) -> None:
    running = asyncio.Event()

    async def run() -> None:
        async with in_use(another):
            running.set()

    async def waits() -> bool:
        return "waiting for that to end" in caplog.text

    async with alone(one):
        service = asyncio.create_task(run())
        await eventually(waits, "it waits")
        assert not running.is_set()

    await asyncio.wait_for(service, 15)
    assert running.is_set()
    assert caplog.text.count("waiting for that to end") == 1


async def test_a_service_whose_connection_breaks_takes_the_lock_again(
    databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exclusive, "CHECK", 0.05)
    with on_postgresql(databases):
        database = Database(url_in(tmp_path, "order"), "order")

        async def holders() -> list[int]:
            return await database.read(lambda session: [*session.scalars(HOLDERS)])

        async with in_use(database):
            (broken,) = await holders()
            end = select(func.pg_terminate_backend(broken))
            assert await database.write(lambda session: session.scalar(end))

            async def is_taken_again() -> bool:
                return [each != broken for each in await holders()] == [True]

            await eventually(is_taken_again, "another connection holds it")
        await database.close()


async def test_a_running_service_holds_up_no_index_that_is_built_meanwhile(
    databases: Databases, tmp_path: Path
) -> None:
    with on_postgresql(databases):
        one = Database(url_in(tmp_path, "order"), "order", "one")

        def build() -> None:
            with one.engine.connect() as connection:
                create_index(connection, "of_name", "orders", "(customer_name)")

        async with in_use(one):
            await asyncio.wait_for(asyncio.to_thread(build), 60)
        await one.close()
