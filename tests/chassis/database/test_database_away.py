"""A database that is away is told from what is wrong: 503 for who asks, and try again for who brings."""

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import event, text
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import errors
from chassis.database.transient import DatabaseAway, is_away
from chassis.database.unit_of_work import Database, WriteSession, sqlite_file
from tests.support.away import refusing, terminated, terminated_by
from tests.support.postgresql import Databases
from tests.support.sockets import closed_port

Act = Callable[[AsyncSession], Awaitable[object]]
AT_THE_DOOR = {
    "57P01": "it is shut down by its administrator",
    "57P02": "it has crashed",
    "57P03": "it is starting, or stopping",
    "53300": "too many are connected",
    "28P01": "the password is another one",
    "3D000": "there is no such database",
}
NOWHERE = {
    "nobody listens": f"nobody@127.0.0.1:{closed_port()}/nothing",
    "no such host": "nobody@nowhere.invalid/nothing",
    "no such socket": "nobody@/nothing?host=/nowhere",
}


@pytest.fixture
def url(databases: Databases) -> Iterator[str]:
    """Make an empty database on the session's PostgreSQL."""
    with databases.fresh() as fresh:
        yield fresh


@pytest.fixture
async def server(url: str) -> AsyncIterator[Database]:
    """Open a database on PostgreSQL."""
    database = Database(url, "test")
    yield database
    await database.close()


@pytest.fixture
async def file(tmp_path: Path) -> AsyncIterator[Database]:
    """Open a database in a file, with one table."""
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/test.db", "test")
    async with database.write() as session:
        await session.execute(text("CREATE TABLE entry (id INTEGER PRIMARY KEY)"))
    yield database
    await database.close()


async def raised_by(database: Database, act: Act) -> Exception:
    """Give what a transaction raises in which this is done."""
    try:
        async with database.write() as session:
            await act(session)
    except Exception as error:  # noqa: BLE001 - that is the question
        return error
    raise AssertionError("nothing was raised")


def doing(*statements: str) -> Act:
    """Make what executes these statements."""

    async def act(session: AsyncSession) -> None:
        for each in statements:
            await session.execute(text(each))

    return act


@asynccontextmanager
async def asking(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    """Serve an app whose one route writes into this database."""
    app = FastAPI()
    app.state.database = database
    errors.install(app)

    @app.post("/")
    async def post(session: WriteSession) -> None:
        await session.execute(text("INSERT INTO entry VALUES (1)"))

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
        yield client


async def is_unavailable(database: Database) -> None:
    """Check that who asks is told to come again."""
    async with asking(database) as client:
        answer = await client.post("/")

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["type"] == "urn:problem-type:database-unavailable"


@pytest.mark.parametrize("sqlstate", AT_THE_DOOR)
async def test_a_server_that_lets_nobody_in_is_away(sqlstate: str) -> None:
    async with refusing(sqlstate) as url:
        database = Database(url, "test")

        error = await raised_by(database, doing("SELECT 1"))

        assert isinstance(error, DatabaseAway)
        assert is_away(error)
        await is_unavailable(database)


@pytest.mark.parametrize("place", NOWHERE)
async def test_a_server_that_cannot_be_reached_is_away(place: str) -> None:
    database = Database(f"postgresql+asyncpg://{NOWHERE[place]}", "test")

    assert is_away(await raised_by(database, doing("SELECT 1")))
    await is_unavailable(database)


async def test_a_connection_that_the_server_ends_is_one_that_is_away(
    server: Database, url: str
) -> None:
    other = Database(url, "test")

    async def between(session: AsyncSession) -> None:
        await terminated_by(other, session)
        await session.execute(text("SELECT 1"))

    async def before_the_commit(session: AsyncSession) -> None:
        await terminated_by(other, session)

    for act in (terminated, between, before_the_commit):
        error = await raised_by(server, act)
        assert is_away(error), error

    await other.close()
    async with server.write() as session:
        assert await session.scalar(text("SELECT 1")) == 1


@pytest.mark.parametrize(
    "statements",
    [
        pytest.param(
            ("SET LOCAL statement_timeout = 1", "SELECT pg_sleep(60)"),
            id="a statement that takes too long",
        ),
        pytest.param(
            ("SET LOCAL transaction_read_only = on", "CREATE TABLE x (id int)"),
            id="a server that only reads",
        ),
        *(
            pytest.param(
                (f"DO $$ BEGIN RAISE SQLSTATE '{sqlstate}'; END $$",), id=sqlstate
            )
            for sqlstate in ("40001", "40P01", "53100", "53200", "55P03", "58030")
        ),
    ],
)
async def test_a_server_that_cannot_do_it_now_is_as_good_as_away(
    server: Database, statements: tuple[str, ...]
) -> None:
    assert is_away(await raised_by(server, doing(*statements)))


@pytest.mark.parametrize(
    "error",
    [
        PoolTimeout("all connections are taken"),
        TimeoutError("a command took longer than 30 s"),
        ConnectionResetError(),
        OSError("no space left on device"),
    ],
    ids=repr,
)
def test_what_comes_of_the_way_to_the_database_says_that_it_is_away(
    error: Exception,
) -> None:
    assert is_away(error)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1 FROM nothing",
        "SELEC 1",
        "SELECT 1 / 0",
        "INSERT INTO entry VALUES (1), (1)",
        "CREATE TABLE entry (id int)",
    ],
)
async def test_a_statement_that_is_wrong_says_nothing_of_the_database(
    server: Database, file: Database, statement: str
) -> None:
    async with server.write() as session:
        await session.execute(text("CREATE TABLE entry (id int PRIMARY KEY)"))

    assert not is_away(await raised_by(server, doing(statement)))
    if "/" not in statement:  # which SQLite answers with NULL
        assert not is_away(await raised_by(file, doing(statement)))


@pytest.mark.parametrize(
    "error",
    [ZeroDivisionError(), FileNotFoundError(), PermissionError(), KeyError("x")],
    ids=repr,
)
def test_a_fault_of_the_program_says_nothing_of_the_database(error: Exception) -> None:
    assert not is_away(error)


async def test_what_is_wrong_with_a_statement_is_a_fault_of_the_service(
    file: Database,
) -> None:
    async with file.write() as session:
        await session.execute(text("DROP TABLE entry"))

    async with asking(file) as client:
        answer = await client.post("/")

    assert answer.status_code == 500
    assert answer.json()["type"] == "urn:problem-type:internal-error"


async def test_a_file_that_another_process_writes_is_away_until_it_has(
    file: Database,
) -> None:
    impatient = Database(file.url, "test")
    event.listen(impatient.engine.sync_engine, "connect", without_patience)
    with closing(sqlite3.connect(sqlite_file(file.url))) as other:
        other.execute("BEGIN IMMEDIATE")

        await is_unavailable(impatient)

    async with asking(impatient) as client:
        assert (await client.post("/")).status_code == 200
    await impatient.close()


def without_patience(connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's
    """Let a connection wait for nobody, instead of 5 s."""
    connection.cursor().execute("PRAGMA busy_timeout = 0")


async def test_a_disk_that_is_full_is_away_until_it_is_not(file: Database) -> None:
    fill = doing(
        "PRAGMA max_page_count = 3",
        "CREATE TABLE more (body)",
        "INSERT INTO more VALUES (randomblob(1000000))",
    )

    error = await raised_by(file, fill)

    assert "full" in str(error)
    assert is_away(error)
    async with file.write() as session:
        await session.execute(text("PRAGMA max_page_count = 1000000"))
        await session.execute(text("INSERT INTO entry VALUES (1)"))


async def test_a_file_that_is_none_is_away(tmp_path: Path) -> None:
    (tmp_path / "folder.db").mkdir()
    (tmp_path / "text.db").write_text("this is no database\n" * 99)

    for name in ("folder.db", "text.db", "no/such/folder.db"):
        database = Database(f"sqlite+aiosqlite:///{tmp_path}/{name}", "test")
        assert is_away(await raised_by(database, doing("SELECT 1")))
        await is_unavailable(database)
