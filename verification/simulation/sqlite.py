"""SQLite as a simulated process has it: before and after each COMMIT it may die, and the disk may be full.

While `installed`, the services' own URLs lead here. Each connection belongs to the process that opened it.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast
from unittest.mock import patch

from sqlalchemy import Engine
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from verification.simulation.process import Process, here

ERRORS = {
    "full": ("database or disk is full", sqlite3.SQLITE_FULL),
    "locked": ("database is locked", sqlite3.SQLITE_BUSY),
}
"""SQLite's message and result code, by the fault's name."""


class _Cursor(sqlite3.Cursor):
    def execute(self, sql: str, parameters: Any = (), /) -> "_Cursor":  # noqa: ANN401 - sqlite3's own
        if sql.startswith("BEGIN"):
            cast("_Connection", self.connection).begins(is_writing=sql != "BEGIN")
        super().execute(sql, parameters)
        return self


class _Connection(sqlite3.Connection):
    """A connection of one process."""

    process: Process
    _is_writing = False

    def cursor(self, factory: Any = _Cursor) -> Any:  # noqa: ANN401 - sqlite3's own
        return super().cursor(factory)

    def begins(self, *, is_writing: bool) -> None:
        self._is_writing = is_writing
        if is_writing:
            _fail_for("begin")

    def commit(self) -> None:
        if here().dead or not self.in_transaction:
            return
        if self._is_writing:
            here().crash_point("before a commit")
            _fail_for("commit")
        super().commit()
        if self._is_writing:
            here().crash_point("after a commit")

    def rollback(self) -> None:
        # What follows a crash in the middle of a unit of work has no effect: the connection is closed. It may be
        # the interpreter that does away with it, when no process runs.
        if not self.process.dead:
            super().rollback()


def _fail_for(what: str) -> None:
    process = here()
    if trouble := process.trouble(process, what):
        text, code = ERRORS[trouble]
        error = sqlite3.OperationalError(text)
        error.sqlite_errorcode = code
        raise error


class _Dialect(SQLiteDialect_pysqlite):
    """SQLite's dialect, with such connections."""

    supports_statement_cache = True

    # One is as good as any other: what was compiled for one engine is used for all (see `share_statements`).
    def __eq__(self, other: object) -> bool:
        return type(other) is type(self)

    def __hash__(self) -> int:
        return hash(type(self))

    def connect(self, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - the driver's own
        connection = sqlite3.connect(*arguments, **options, factory=_Connection)
        connection.process = here()
        connection.process.opened(connection)
        return connection


@contextmanager
def installed() -> Iterator[None]:
    """Put this dialect in the place of SQLAlchemy's own."""
    with patch.dict(registry.impls, {"sqlite": lambda: _Dialect}):
        yield


_compiled: dict[Any, Any] = {}


def share_statements(engine: Engine) -> None:
    """Share with this engine what others have compiled: the same statements come again in each life."""
    engine.update_execution_options(compiled_cache=_compiled)
