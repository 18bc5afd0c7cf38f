"""A service's own database: how it is opened, and how a transaction is begun and ended."""

import asyncio
import hashlib
import platform
import tempfile
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, Request
from sqlalchemy import Connection, DateTime, Dialect, TypeDecorator, event, make_url
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)

from chassis.database import hooks as aftermath
from chassis.database import transient as database_away

# WAL lets readers work beside the writer; FULL makes every commit survive a power failure.
_PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    "busy_timeout=5000",
)
# What the server's own configuration might say otherwise: a commit that was answered is on disk, and a
# transaction that is left open ends, for it would hold up the feed of events.
_POSTGRESQL: dict[str, Any] = {
    "pool_size": 10,
    "max_overflow": 10,
    "pool_timeout": 5,
    # A connection that a restarted server has closed is found before a request meets it.
    "pool_pre_ping": True,
    "connect_args": {
        "timeout": 5,
        "command_timeout": 30,
        "server_settings": {
            "synchronous_commit": "on",
            "idle_in_transaction_session_timeout": "30s",
        },
    },
}


class Utc(TypeDecorator[datetime]):
    """A column of aware times: SQLite keeps no time zone, so they are stored as UTC and read as UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(
        self, value: datetime | None, dialect: Dialect
    ) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError(f"{value} has no time zone")
        return None if value is None else value.astimezone(UTC)

    def process_result_value(
        self, value: datetime | None, dialect: Dialect
    ) -> datetime | None:
        return value.replace(tzinfo=UTC) if value and value.tzinfo is None else value


def create_engine(url: str) -> AsyncEngine:
    """Open the database at an SQLAlchemy URL.

    sqlite+aiosqlite:///path/to/file.db or postgresql+asyncpg://user:password@host/name.
    """
    sqlite = is_sqlite(url)
    # An error's text goes to logs and dead letters; what customers sent does not.
    engine = create_async_engine(
        url, hide_parameters=True, **({} if sqlite else _POSTGRESQL)
    )
    if sqlite:
        event.listen(engine.sync_engine, "connect", _set_up_sqlite)
        event.listen(engine.sync_engine, "begin", _begin)
    else:
        event.listen(engine.sync_engine, "do_connect", database_away.connect)
    return engine


def is_sqlite(url: str) -> bool:
    """Tell which of the two kinds of database this URL is of."""
    return make_url(url).get_backend_name() == "sqlite"


def sqlite_file(url: str) -> Path:
    """Give the file of an SQLite URL."""
    return Path(make_url(url).database or "").absolute()


class Database:
    """The service's database, its transactions, and the signals that wake its loops after a commit.

    `replica` tells apart the processes of this service on one machine: the port of its sidecar.
    """

    def __init__(self, url: str, service: str, replica: str = "") -> None:
        self.url = url
        self.engine = create_engine(url)
        self.owner = f"{platform.node()}:{replica}"
        self.is_shared = not is_sqlite(url)
        self._info = {"service": service}
        self._sessions = async_sessionmaker(
            self.engine, expire_on_commit=False, sync_session_class=aftermath.Session
        )
        self._signals: dict[str, asyncio.Event] = {}
        # SQLite has one writer at a time; queueing here is fair and immediate, its own busy wait is neither.
        self._turn: AbstractAsyncContextManager[Any] = (
            nullcontext() if self.is_shared else asyncio.Lock()
        )

    def lock_file(self, loop: str) -> Path:
        """Name the file whose lock a background loop holds while it works.

        On SQLite there is one such loop for each database file; on PostgreSQL one for each sidecar, and
        claims with leases share the work among them.
        """
        if not self.is_shared:
            return Path(f"{sqlite_file(self.url)}.{loop}.lock")
        name = hashlib.sha256(f"{self.url} {self.owner}".encode()).hexdigest()[:16]
        return (
            Path(tempfile.gettempdir()) / f"{self._info['service']}-{name}.{loop}.lock"
        )

    def signal(self, name: str) -> asyncio.Event:
        """Give the event that is set after each commit that announced `name` (see `announce`)."""
        return self._signals.setdefault(name, asyncio.Event())

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncSession]:
        """Open the one transaction of a command or a message: commit at the end, or roll everything back.

        Never await another part (the sidecar, another service) inside it, and never nest it.
        """
        info = {**self._info, "announced": set(), **aftermath.begin()}
        async with self._turn, self._sessions(info=info) as session:
            try:
                async with session.begin():
                    yield session
                    aftermath.check(session)
            except Exception:
                await aftermath.follow_rollback(session)
                raise
            for name in sorted(session.info["announced"]):
                self.signal(name).set()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """Open a session for queries, which holds nobody up."""
        async with self._sessions(info={**self._info}) as session:
            await session.connection(execution_options={"begin": "BEGIN"})
            yield session

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()


def announce(session: AsyncSession, name: str) -> None:
    """Wake the loop that waits for `name`, once this session's transaction is committed."""
    session.info["announced"].add(name)


def keep_quiet(session: AsyncSession) -> None:
    """Wake nobody when this session's transaction is committed: what was announced was taken back."""
    session.info["announced"].clear()


async def _write(request: Request) -> AsyncIterator[AsyncSession]:
    # With an Idempotency-Key the transaction is open already, and ends with the key (chassis/idempotency.py).
    if (begun := getattr(request.state, "session", None)) is not None:
        yield begun
        return
    async with request.app.state.database.write() as session:
        yield session


async def _read(request: Request) -> AsyncIterator[AsyncSession]:
    async with request.app.state.database.read() as session:
        yield session


# FastAPI runs what follows a dependency's `yield` after the answer was sent, unless its scope is the
# function: without it a client would hear 201 before COMMIT.
WriteSession = Annotated[AsyncSession, Depends(_write, scope="function")]
ReadSession = Annotated[AsyncSession, Depends(_read, scope="function")]


def _set_up_sqlite(connection: Any, _record: object) -> None:  # noqa: ANN401
    # The driver would begin transactions itself, late and deferred: `_begin` does it instead.
    connection.isolation_level = None
    cursor = connection.cursor()
    try:
        for pragma in _PRAGMAS:
            cursor.execute(f"PRAGMA {pragma}")
    except BaseException:
        # The pool forgets a connection that could not be set up, and its thread would stay for ever.
        connection.close()
        raise
    cursor.close()


def _begin(connection: Connection) -> None:
    # A transaction that reads and then writes would fail with SQLITE_BUSY_SNAPSHOT, which no time-out
    # waits for, had another one written in between: so writers take their place at once.
    connection.exec_driver_sql(
        connection.get_execution_options().get("begin", "BEGIN IMMEDIATE")
    )
