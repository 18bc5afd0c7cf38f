"""SQLite in the event loop's thread: the dialect `sqlite+inline`, which is aiosqlite's without a thread.

Each connection belongs to the process that opened it; before and after each COMMIT that process may die.
"""

import sqlite3
from collections.abc import Sequence
from typing import Any, Self, cast

import aiosqlite
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.aiosqlite import (
    AsyncAdapt_aiosqlite_connection,
    AsyncAdapt_aiosqlite_dbapi,
    SQLiteDialect_aiosqlite,
)
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import await_only

from tests.simulation.process import here


class _Cursor:
    """A cursor whose methods can be awaited, and never wait."""

    def __init__(self, connection: "_Connection", cursor: sqlite3.Cursor) -> None:
        self._connection = connection
        self._cursor = cursor

    async def __aenter__(self) -> Self:
        return self

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever sqlite3 has
        return getattr(self._cursor, name)

    async def execute(self, operation: str, parameters: Sequence[Any] = ()) -> None:
        if operation.startswith("BEGIN"):
            await here().pause()
            self._connection.is_writing = operation != "BEGIN"
            if self._connection.is_writing:
                _fail_for(here().trouble(here(), "begin"))
        self._cursor.execute(operation, parameters)

    async def executemany(self, operation: str, rows: Sequence[Any]) -> None:
        self._cursor.executemany(operation, rows)

    async def fetchall(self) -> list[Any]:
        return self._cursor.fetchall()

    async def close(self) -> None:
        self._cursor.close()


def _fail_for(trouble: str) -> None:
    if trouble:
        raise sqlite3.OperationalError(trouble)


class _Connection:
    """A connection of one process."""

    def __init__(self, file: str, arguments: dict[str, Any]) -> None:
        self._connection: sqlite3.Connection | None = sqlite3.connect(file, **arguments)
        self.is_writing = False
        here().opened(self._connection)

    def cursor(self) -> _Cursor:
        assert self._connection
        return _Cursor(self, self._connection.cursor())

    async def create_function(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - sqlite3's own
        assert self._connection
        self._connection.create_function(*arguments, **options)

    async def commit(self) -> None:
        assert self._connection
        if here().dead or not self._connection.in_transaction:
            return
        if self.is_writing:
            await here().point("before a commit")
            _fail_for(here().trouble(here(), "commit"))
        self._connection.execute("COMMIT")
        if self.is_writing:
            await here().point("after a commit")

    async def rollback(self) -> None:
        assert self._connection
        if not here().dead and self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    async def close(self) -> None:
        if self._connection:
            self._connection.close()
        self._connection = None

    def stop(self) -> None:
        self._connection = None


class _Adapted(AsyncAdapt_aiosqlite_connection):
    """SQLAlchemy's side of such a connection."""

    __slots__ = ()

    @property
    def isolation_level(self) -> str | None:
        return cast("str | None", self._sqlite.isolation_level)

    @isolation_level.setter
    def isolation_level(self, value: str | None) -> None:
        setattr(self._sqlite, "isolation_level", value)  # noqa: B010 - of the connection beneath

    @property
    def _sqlite(self) -> Any:  # noqa: ANN401 - sqlite3's connection
        return getattr(self._connection, "_connection")  # noqa: B009 - SQLAlchemy knows it as aiosqlite's


class _Inline(AsyncAdapt_aiosqlite_dbapi):
    def connect(self, file: str, **arguments: Any) -> _Adapted:  # noqa: ANN401 - sqlite3's own
        arguments.pop("async_creator_fn", None)
        await_only(here().pause())
        return _Adapted(self, cast("Any", _Connection(file, arguments)))


class InlineDialect(SQLiteDialect_aiosqlite):
    """SQLite as the services use it, in one thread."""

    driver = "inline"
    supports_statement_cache = True

    # One is as good as any other: what was compiled for one engine is used for all (see `share`).
    def __eq__(self, other: object) -> bool:
        return type(other) is type(self)

    def __hash__(self) -> int:
        return hash(type(self))

    @classmethod
    def import_dbapi(cls) -> _Inline:
        """Give aiosqlite's adapter with our connections in it."""
        return _Inline(aiosqlite, sqlite3)


_compiled: dict[Any, Any] = {}


def share(engine: AsyncEngine) -> None:
    """Let this engine use what others have compiled: the same statements come again in each life."""
    engine.update_execution_options(compiled_cache=_compiled)


def register() -> None:
    """Let SQLAlchemy know the URL sqlite+inline:///path/to/file.db."""
    registry.register("sqlite.inline", __name__, "InlineDialect")
