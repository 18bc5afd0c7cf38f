"""Which errors mean that the database is unavailable: they say nothing of what was asked, and are retried.

Only what a database driver raised counts: a handler's own TimeoutError or OSError is an error of the handler.
"""

import re

import psycopg
from sqlalchemy.exc import DBAPIError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout


class CommitFailed(Exception):
    """A group of units could not be committed, or nobody knows whether it was; each may be tried again."""


class NoAnswer(Exception):
    """The database has not answered in time; nothing was changed."""


TRANSIENT = (DBAPIError, PoolTimeout, CommitFailed, NoAnswer)
"""Among these is whatever an unavailable database raises."""

_SQLSTATES = (
    "08",  # the connection has failed
    "25006",  # a standby after a failover: it only reads
    "25P03",  # the transaction was idle for too long
    "40",  # a deadlock, or a serialization failure
    "53",  # no connection, memory or disk is left
    "55P03",  # a lock was not free
    "57",  # it is shut down, is starting, or the statement was cancelled
    "58",  # the system beneath it fails
)
"""How the SQLSTATEs of PostgreSQL begin that mean "not now"."""

_SQLITE_CODES = frozenset(
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
"""The primary result codes of SQLite that mean the same; SQLITE_ERROR (no such table) is not among them."""

_VALUES = re.compile(r"\".*\"|'.*'")
_DATA_EXCEPTION = "22"
"""The class of SQLSTATE of values that do not fit their column."""


def is_unavailable(error: BaseException) -> bool:
    """Return whether this is a database that is away, full, starting or locked."""
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or _means_not_now(error.orig)
    return isinstance(error, PoolTimeout | CommitFailed | NoAnswer)


def _means_not_now(raised: object) -> bool:
    if isinstance(raised, psycopg.OperationalError) and not raised.sqlstate:
        return True  # without a SQLSTATE the client raised it: there is no connection
    if state := getattr(raised, "sqlstate", None):
        return str(state).startswith(_SQLSTATES)
    # The lowest byte of an extended code is the primary one.
    code = int(getattr(raised, "sqlite_errorcode", 0) or 0) & 0xFF
    return code in _SQLITE_CODES


def is_conflict(error: BaseException) -> bool:
    """Return whether another transaction was in the way: a deadlock, or a serialization failure."""
    state = getattr(getattr(error, "orig", None), "sqlstate", None) or ""
    return str(state).startswith("40")


def describe_refusal(error: StatementError) -> str:
    """Return what a database refused, without the values: its log and ours are no place for customers' data.

    PostgreSQL appends the whole row to what it refuses (DETAIL), and quotes a value that does not fit its type.
    """
    kind, orig = type(error).__name__, error.orig
    if not isinstance(error, DBAPIError):  # a value that could not even be sent
        return f"{kind}: {type(orig).__name__}"
    said = str(orig).split("\n", maxsplit=1)[0]
    return f"{kind}: {_VALUES.sub('…', said) if is_data_error(error) else said}"


def is_data_error(error: StatementError) -> bool:
    """Return whether a value does not fit where it was to go: every database would say the same."""
    # What PostgreSQL says of values that it cannot store, SQLAlchemy does not always call a DataError; and
    # some cannot even be sent.
    if isinstance(error, DBAPIError):
        state = str(getattr(error.orig, "sqlstate", None) or "")
        return state.startswith(_DATA_EXCEPTION)
    return isinstance(error.orig, ArithmeticError | ValueError)
