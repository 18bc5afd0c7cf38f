"""A frozen server of PostgreSQL takes connections and statements, and answers none: only the client gives up."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from sqlalchemy import make_url

from chassis.database import Database, is_unavailable, patience
from tests.chassis.database.entries import insert_one, metadata, rows
from tests.support.postgresql import Databases
from verification.chaos.proxy import Mode, Proxy, open_proxy

PATIENT = 60.0


@dataclass
class Freezable:
    """A database whose server can be frozen."""

    database: Database
    proxy: Proxy

    def freeze(self) -> None:
        """Hold back every answer of the server."""
        self.proxy.set(Mode.MUTE)

    def thaw(self) -> None:
        """Pass on its answers again."""
        self.proxy.set(Mode.PASS)


@pytest.fixture
async def server(databases: Databases) -> AsyncIterator[Freezable]:
    """Open a database behind a proxy."""
    async with open_proxy(databases.port) as proxy:
        with databases.fresh() as url:
            near = make_url(url).set(port=proxy.port)
            database = Database(near.render_as_string(hide_password=False), "test")
            await database.write(lambda s: metadata.create_all(s.connection()))
            yield Freezable(database, proxy)
            proxy.set(Mode.REFUSE)
            await database.close()


async def fails(database: Database) -> Exception:
    """Return what a unit of work that waits for the server raises."""
    with pytest.raises(Exception, match="does not answer") as raised:
        await asyncio.wait_for(database.write(insert_one), PATIENT)
    return raised.value


async def test_a_statement_that_is_not_answered_means_unavailable(
    server: Freezable,
) -> None:
    server.database.patience.seconds = 0.3
    server.freeze()

    assert is_unavailable(await fails(server.database))


async def test_a_server_that_answers_again_is_used_again(server: Freezable) -> None:
    server.database.patience.seconds = 0.3
    server.freeze()
    await fails(server.database)

    server.database.patience.seconds = PATIENT
    server.thaw()

    await server.database.write(insert_one)
    assert await rows(server.database) == 1


async def test_a_statement_under_way_is_given_up_soon_when_the_process_ends(
    server: Freezable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "ENDING", 0.3)
    server.freeze()
    waiting = asyncio.create_task(fails(server.database))
    await asyncio.wait([waiting], timeout=0.3)

    server.database.patience.end()

    assert is_unavailable(await waiting)
    assert "did not answer before" in str((await refused(server.database)).args)


async def refused(database: Database) -> Exception:
    """Return what a unit of work raises that is not even tried."""
    with pytest.raises(Exception, match="did not answer") as raised:
        await asyncio.wait_for(database.write(insert_one), PATIENT)
    return raised.value
