"""What follows a transaction: done right after its commit, and never where it was rolled back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import event, text

from chassis.database.hooks import after_commit, after_rollback, spoil
from chassis.database.unit_of_work import Database
from tests.support.database import migrated


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """Make a service's database."""
    made = migrated("order", tmp_path)
    yield made
    await made.close()


async def test_what_follows_a_commit_is_done_before_anything_else_has_its_turn(
    database: Database,
) -> None:
    done: list[str] = []
    loop = asyncio.get_running_loop()

    async with database.write() as session:
        event.listen(
            session.sync_session,
            "after_commit",
            lambda _: loop.call_soon(done.append, "something else"),
        )
        after_commit(session, lambda: done.append("what follows"))
        await session.execute(text("DELETE FROM outbox"))
        assert done == []

    assert done == ["what follows", "something else"]


async def test_nothing_follows_what_is_rolled_back(database: Database) -> None:
    done: list[str] = []

    with suppress(ZeroDivisionError):
        async with database.write() as session:
            after_commit(session, lambda: done.append("what follows"))
            raise ZeroDivisionError

    assert done == []


async def test_nothing_follows_where_something_else_follows_the_rollback(
    database: Database,
) -> None:
    done: list[str] = []

    async def keep(_session: object) -> None:
        done.append("what follows the rollback")

    with suppress(ZeroDivisionError):
        async with database.write() as session:
            after_commit(session, lambda: done.append("what follows the commit"))
            after_rollback(session, keep)
            spoil(session, ZeroDivisionError())

    assert done == ["what follows the rollback"]
