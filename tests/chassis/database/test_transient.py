"""An unavailable database is told from what is wrong: 503 for who asks, and a retry for a delivery."""

import socket
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from fastapi import FastAPI
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError, IntegrityError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from chassis import errors
from chassis.database import Database, is_data_error, is_unavailable
from chassis.database.engine import sqlite_file
from tests.chassis.database.entries import insert_one, metadata, rows
from tests.support.away import refusing, terminated, terminated_by_another
from toolchain.runfile import free_port

Work = Callable[[Session], object]
REFUSED_CONNECTIONS = {
    "57P01": "it is shut down by its administrator",
    "57P02": "it has crashed",
    "57P03": "it is starting, or stopping",
    "53300": "too many are connected",
    "28P01": "the password is another one",
    "3D000": "there is no such database",
}
NOWHERE = {
    "nobody listens": f"nobody@127.0.0.1:{free_port()}/nothing",
    "no such host": "nobody@nowhere.invalid/nothing",
    "no such socket": "nobody@/nothing?host=/nowhere",
}
TRANSIENT_STATES = (
    *("08000", "08003", "08006", "25006", "25P03", "40001", "40P01", "53100", "53200"),
    *("53300", "55P03", "57000", "57014", "57P01", "57P02", "57P03", "58000", "58030"),
)
OTHER_STATES = ("22001", "22003", "22021", "23505", "23503", "42601", "42P01", "25P02")
TRANSIENT_CODES = {
    "SQLITE_BUSY": 5,
    "SQLITE_BUSY_RECOVERY": 261,
    "SQLITE_BUSY_SNAPSHOT": 517,
    "SQLITE_LOCKED": 6,
    "SQLITE_NOMEM": 7,
    "SQLITE_READONLY": 8,
    "SQLITE_READONLY_DBMOVED": 1032,
    "SQLITE_INTERRUPT": 9,
    "SQLITE_IOERR": 10,
    "SQLITE_IOERR_FSYNC": 1034,
    "SQLITE_CORRUPT": 11,
    "SQLITE_FULL": 13,
    "SQLITE_CANTOPEN": 14,
    "SQLITE_PROTOCOL": 15,
    "SQLITE_NOTADB": 26,
}
OTHER_CODES = {
    "SQLITE_ERROR": 1,
    "SQLITE_CONSTRAINT": 19,
    "SQLITE_CONSTRAINT_UNIQUE": 2067,
    "SQLITE_MISMATCH": 20,
    "SQLITE_TOOBIG": 18,
}

on_sqlite = pytest.mark.parametrize("url", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("url", ["postgresql"], indirect=True)


async def raised_by(database: Database, work: Work) -> Exception:
    """Return what a unit of work raises."""
    try:
        await database.write(work)
    except Exception as error:  # noqa: BLE001 - that is the question
        return error
    raise AssertionError("nothing was raised")


def executing(*statements: str) -> Work:
    """Return a unit of work that executes these statements."""

    def work(session: Session) -> None:
        for each in statements:
            session.execute(text(each))

    return work


@asynccontextmanager
async def opened_at(url: str) -> AsyncIterator[Database]:
    """Open a database that may be unavailable, and close it."""
    database = Database(url, "test")
    yield database
    await database.close()


@asynccontextmanager
async def asking(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    """Serve an app whose one route writes into this database."""
    app = FastAPI()
    errors.install(app)

    @app.post("/")
    async def post() -> None:
        await database.write(insert_one)

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
        yield client


async def answers_503(database: Database) -> None:
    """Check that a request is answered 503, with the time after which it may be repeated."""
    async with asking(database) as client:
        answer = await client.post("/")

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["type"] == "urn:problem-type:database-unavailable"


@pytest.mark.parametrize("sqlstate", REFUSED_CONNECTIONS)
async def test_a_server_that_refuses_connections_is_unavailable(sqlstate: str) -> None:
    async with refusing(sqlstate) as url, opened_at(url) as database:
        assert is_unavailable(await raised_by(database, executing("SELECT 1")))
        await answers_503(database)


@pytest.mark.parametrize("place", NOWHERE)
async def test_a_server_that_cannot_be_reached_is_unavailable(place: str) -> None:
    async with opened_at(f"postgresql://{NOWHERE[place]}") as database:
        assert is_unavailable(await raised_by(database, executing("SELECT 1")))
        await answers_503(database)


@on_postgresql
async def test_a_connection_that_ends_means_unavailable_and_the_next_one_works(
    database: Database,
) -> None:
    def in_between(session: Session) -> None:
        terminated_by_another(session)
        session.execute(text("SELECT 1"))

    for work in (terminated, in_between, terminated_by_another):
        error = await raised_by(database, work)
        assert is_unavailable(error), error

    await database.write(insert_one)
    assert await rows(database) == 1


@on_postgresql
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
async def test_a_server_that_cannot_do_it_now_is_unavailable(
    database: Database, statements: tuple[str, ...]
) -> None:
    assert is_unavailable(await raised_by(database, executing(*statements)))


@pytest.mark.parametrize(
    ("sqlstate", "transient"),
    [
        *((each, True) for each in TRANSIENT_STATES),
        *((each, False) for each in OTHER_STATES),
    ],
)
def test_the_servers_sqlstate_shows_whether_it_is_unavailable(
    sqlstate: str, *, transient: bool
) -> None:
    raised = psycopg.errors.lookup(sqlstate)("refused")

    assert is_unavailable(DBAPIError("INSERT", None, raised)) is transient


@pytest.mark.parametrize(
    ("raised", "transient"),
    [
        (psycopg.OperationalError("connection refused"), True),
        (psycopg.errors.ConnectionTimeout("timeout expired"), True),
        (psycopg.ProgrammingError("can't adapt type"), False),
        (psycopg.DataError("a NUL character"), False),
        (sqlite3.ProgrammingError("wrong number of bindings"), False),
        (sqlite3.OperationalError("without a code"), False),
    ],
    ids=repr,
)
def test_without_a_code_only_the_connections_errors_mean_unavailable(
    raised: Exception, *, transient: bool
) -> None:
    assert is_unavailable(DBAPIError("INSERT", None, raised)) is transient


@pytest.mark.parametrize(
    ("code", "transient"),
    [
        *((each, True) for each in TRANSIENT_CODES.values()),
        *((each, False) for each in OTHER_CODES.values()),
    ],
)
def test_the_code_of_sqlite_shows_whether_it_is_unavailable(
    code: int, *, transient: bool
) -> None:
    raised = sqlite3.OperationalError("refused")
    raised.sqlite_errorcode = code

    assert is_unavailable(DBAPIError("INSERT", None, raised)) is transient


def test_a_connection_that_the_pool_found_dead_means_unavailable() -> None:
    raised = psycopg.InterfaceError("connection already closed")

    error = DBAPIError("INSERT", None, raised, connection_invalidated=True)

    assert is_unavailable(error)


async def test_a_pool_without_a_free_connection_means_unavailable() -> None:
    assert is_unavailable(PoolTimeout("all connections are taken"))


@pytest.mark.parametrize(
    "error",
    [
        TimeoutError("an API did not answer"),
        ConnectionResetError(),
        ConnectionRefusedError(),
        socket.gaierror("no such host"),
        OSError("no space left on device"),
        FileNotFoundError(),
        PermissionError(),
        ZeroDivisionError(),
        KeyError("x"),
        IntegrityError("INSERT", None, ValueError()),
        StatementError("a value", "INSERT", None, None),
    ],
    ids=repr,
)
def test_only_what_the_database_driver_raised_means_unavailable(
    error: Exception,
) -> None:
    assert not is_unavailable(error)


async def test_a_handler_that_raises_an_oserror_is_a_fault_of_the_service(
    database: Database,
) -> None:
    def work(session: Session) -> None:
        insert_one(session)
        raise TimeoutError("an API did not answer")

    assert not is_unavailable(await raised_by(database, work))
    assert await rows(database) == 0


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1 FROM nothing",
        "SELEC 1",
        "INSERT INTO entry (id, number) VALUES (1, 1), (1, 1)",
        "CREATE TABLE entry (id int)",
    ],
)
async def test_a_statement_that_is_wrong_does_not_mean_unavailable(
    database: Database, statement: str
) -> None:
    assert not is_unavailable(await raised_by(database, executing(statement)))


async def test_a_statement_that_is_wrong_is_a_fault_of_the_service(
    database: Database,
) -> None:
    await database.write(executing("DROP TABLE entry"))

    async with asking(database) as client:
        answer = await client.post("/")

    assert answer.status_code == 500
    assert answer.json()["type"] == "urn:problem-type:internal-error"


@on_postgresql
@pytest.mark.parametrize(
    ("statement", "is_data"),
    [
        ("SELECT 1 / 0", True),
        ("SELECT 'x'::integer", True),
        ("SELECT chr(0)", False),  # 54000: a limit of the program
        ("INSERT INTO entry (id, number) VALUES (3000000000, 1)", True),
        ("INSERT INTO entry (id, number) VALUES (1, NULL)", False),
        ("SELECT 1 FROM nothing", False),
    ],
)
async def test_a_value_that_does_not_fit_is_told_from_other_errors(
    database: Database, statement: str, *, is_data: bool
) -> None:
    error = await raised_by(database, executing(statement))

    assert isinstance(error, StatementError)
    assert is_data_error(error) is is_data
    assert not is_unavailable(error)


async def test_a_value_that_cannot_be_sent_is_a_data_error(
    database: Database,
) -> None:
    def work(session: Session) -> None:
        session.execute(metadata.tables["entry"].insert().values(number=2**80))

    error = await raised_by(database, work)

    assert isinstance(error, OverflowError) or (
        isinstance(error, StatementError) and is_data_error(error)
    )


@on_sqlite
async def test_a_file_that_another_process_writes_is_unavailable_until_it_has(
    database: Database,
) -> None:
    async with opened_at(database.url) as impatient:
        event.listen(impatient.engine, "connect", _without_patience)
        with closing(sqlite3.connect(sqlite_file(database.url))) as other:
            other.execute("BEGIN IMMEDIATE")

            await answers_503(impatient)

        async with asking(impatient) as client:
            assert (await client.post("/")).status_code == 200


def _without_patience(connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's
    connection.cursor().execute("PRAGMA busy_timeout = 0")


@on_sqlite
async def test_a_disk_that_is_full_is_unavailable_until_it_is_not(
    database: Database,
) -> None:
    fill = executing(
        "PRAGMA max_page_count = 3",
        "CREATE TABLE more (body)",
        "INSERT INTO more VALUES (randomblob(1000000))",
    )

    error = await raised_by(database, fill)

    assert "full" in str(error)
    assert is_unavailable(error)
    await database.write(executing("PRAGMA max_page_count = 1000000"))
    await database.write(insert_one)


async def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "folder.db").mkdir()
    (tmp_path / "text.db").write_text("this is no database\n" * 99)

    for name in ("folder.db", "text.db", "no/such/folder.db"):
        async with opened_at(f"sqlite:///{tmp_path}/{name}") as database:
            error = await raised_by(database, executing("SELECT 1"))
            assert is_unavailable(error), error
            await answers_503(database)
