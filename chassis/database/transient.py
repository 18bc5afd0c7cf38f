"""Tell a database that is away, or serves nobody just now, from a request or an event that is wrong.

What it raises then says nothing of what was asked: it is tried again, and counts against nobody.
"""

from typing import Any

from sqlalchemy import Dialect
from sqlalchemy.exc import DBAPIError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout

TROUBLE = (DBAPIError, PoolTimeout, OSError)
"""Among these is whatever a database that is away raises; a command that times out raises an OSError."""

NOT_NOW = (
    "08",  # the connection has failed
    "25006",  # a standby after a failover: it only reads
    "25P03",  # the transaction was idle for too long
    "40",  # the transaction met another one
    "53",  # no connection, memory or disk is left
    "55P03",  # a lock was not free
    "57",  # it is shut down, is starting, or the statement was cancelled
    "58",  # the system beneath it fails
)
"""How the SQLSTATEs of PostgreSQL begin that say "not now"."""

SQLITE_NOT_NOW = frozenset(
    {
        5,  # SQLITE_BUSY: another process writes
        6,  # SQLITE_LOCKED
        7,  # SQLITE_NOMEM
        8,  # SQLITE_READONLY: the file, or its folder, may not be written
        9,  # SQLITE_INTERRUPT
        10,  # SQLITE_IOERR
        11,  # SQLITE_CORRUPT
        13,  # SQLITE_FULL
        14,  # SQLITE_CANTOPEN
        15,  # SQLITE_PROTOCOL: the locks of the WAL
        26,  # SQLITE_NOTADB
    }
)
"""The primary result codes of SQLite that say the same; SQLITE_ERROR (no such table) is not among them."""

_OF_FILES = (
    FileExistsError,
    FileNotFoundError,
    IsADirectoryError,
    NotADirectoryError,
    PermissionError,
)

DATA_EXCEPTION = "22"
"""The class of SQLSTATE of values that do not fit where they are to go."""


class DatabaseAway(ConnectionError):
    """No connection to the database can be made."""


def is_away(error: BaseException) -> bool:
    """Tell whether this is of a database that is away or serves nobody just now."""
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or _says_so(error.orig)
    return isinstance(error, TROUBLE) and not isinstance(error, _OF_FILES)


def _says_so(said: object) -> bool:
    state = str(getattr(said, "sqlstate", None) or "")
    # The lowest byte of an extended code is the primary one.
    code = int(getattr(said, "sqlite_errorcode", 0) or 0) & 0xFF
    return state.startswith(NOT_NOW) or code in SQLITE_NOT_NOW


def is_about_a_value(error: StatementError) -> bool:
    """Tell whether a value does not fit where it was to go: of every database the same would say the same."""
    # What PostgreSQL says of values that it cannot keep, SQLAlchemy does not call a DataError; and some
    # cannot even be sent.
    if isinstance(error, DBAPIError):
        state = str(getattr(error.orig, "sqlstate", ""))
        return state.startswith(DATA_EXCEPTION)
    return isinstance(error.orig, ArithmeticError | ValueError)


def connect(dialect: Dialect, _record: object, args: Any, options: Any) -> Any:  # noqa: ANN401 - SQLAlchemy's
    """Connect to a server (SQLAlchemy's event `do_connect`); raises DatabaseAway.

    Whatever prevents that, be it a socket's file that is not there, or a name without an address.
    """
    try:
        return dialect.connect(*args, **options)
    except Exception as error:
        raise DatabaseAway(str(error) or type(error).__name__) from error
