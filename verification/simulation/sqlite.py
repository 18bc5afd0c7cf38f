"""SQLite in the event loop's thread: the dialect `sqlite+inline`, which is aiosqlite's without a thread.

Each connection belongs to the process that opened it; before and after each COMMIT that process may die.
"""

import sqlite3
from collections import deque
from typing import Any, cast

import aiosqlite
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.aiosqlite import (
    AsyncAdapt_aiosqlite_connection,
    AsyncAdapt_aiosqlite_cursor,
    AsyncAdapt_aiosqlite_dbapi,
    SQLiteDialect_aiosqlite,
)
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import await_only

from verification.simulation.process import here


class _Cursor(AsyncAdapt_aiosqlite_cursor):
    """A cursor that has all rows at once, as SQLAlchemy has them of aiosqlite's; only a BEGIN waits."""

    __slots__ = ()
    _awaitable_cursor_close = False

    def _make_new_cursor(self, connection: Any) -> Any:  # noqa: ANN401 - sqlite3's cursor
        return connection.cursor()

    def _aenter_cursor(self, cursor: Any) -> Any:  # noqa: ANN401 - sqlite3's cursor
        return cursor

    def execute(self, operation: str, parameters: Any = None) -> None:  # noqa: ANN401 - sqlite3's own
        if operation.startswith("BEGIN"):
            connection = cast("_Connection", self._connection)
            await_only(connection.begins(is_writing=operation != "BEGIN"))
        cursor = cast("sqlite3.Cursor", self._cursor)
        cursor.execute(operation, parameters or ())
        if cursor.description:
            self._rows = deque(cursor.fetchall())

    def executemany(self, operation: str, seq_of_parameters: Any) -> None:  # noqa: ANN401 - sqlite3's own
        cast("sqlite3.Cursor", self._cursor).executemany(operation, seq_of_parameters)


def _fail_for(trouble: str) -> None:
    if trouble:
        raise sqlite3.OperationalError(trouble)


class _Connection:
    """A connection of one process."""

    def __init__(self, file: str, arguments: dict[str, Any]) -> None:
        self._connection: sqlite3.Connection | None = sqlite3.connect(file, **arguments)
        self.is_writing = False
        here().opened(self._connection)

    def cursor(self) -> sqlite3.Cursor:
        assert self._connection
        return self._connection.cursor()

    async def begins(self, *, is_writing: bool) -> None:
        await here().pause()
        self.is_writing = is_writing
        if is_writing:
            _fail_for(here().trouble(here(), "begin"))

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
    _cursor_cls = _Cursor

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
