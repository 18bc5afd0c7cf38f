"""How a service's database is opened: SQLite in a file, or PostgreSQL through psycopg."""

from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Connection,
    DateTime,
    Dialect,
    Engine,
    TypeDecorator,
    create_engine,
    event,
    make_url,
)

from chassis.database.patience import STATEMENT, Patience

READERS = 4
"""Threads, and connections, of one process that only read."""
WRITERS = 2
"""Threads, and connections, of one process that write to PostgreSQL; more would compete for the interpreter."""

# WAL lets readers work beside the writer; FULL makes every commit survive a power failure.
_PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    "busy_timeout=5000",
)
# What the server's own configuration might say otherwise: a commit that was answered is on disk, a statement
# ends, and so does a transaction that is left open, for it would hold up the feed of events. A host that lost
# its power says no goodbye: its transactions and locks end within half a minute, and not in two hours.
_SETTINGS = (
    "-c synchronous_commit=on"
    " -c idle_in_transaction_session_timeout=30s"
    f" -c statement_timeout={STATEMENT}s"
    " -c tcp_keepalives_idle=15 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3"
)
_POSTGRESQL: dict[str, Any] = {
    "pool_size": READERS + WRITERS,
    "max_overflow": 0,
    "pool_timeout": 5,
    # A connection that a restarted server has closed is found before a request meets it; not one that a writer has
    # used within the second before (KEPT in database.py): its unit fails, and is tried again by whoever asked.
    "pool_pre_ping": True,
    "connect_args": {
        "connect_timeout": 5,
        "options": _SETTINGS,
        # Nor does a host of the server say goodbye that loses its power.
        "keepalives_idle": 15,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 30_000,
    },
}

POOLED = "pgbouncer"
"""The option of a URL that leads to PgBouncer: `?pgbouncer=true`."""


class Utc(TypeDecorator[datetime]):
    """A column of aware times: SQLite keeps no time zone, so they are stored and read as UTC."""

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
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


def open_engine(url: str, patience: Patience | None = None) -> Engine:
    """Return an engine for sqlite:///path/to/file.db or postgresql://user:password@host/name.

    Without a patience, a statement waits for as long as the server wants.
    """
    sqlite = is_sqlite(url)
    made = make_url(_with_driver(url))
    options: dict[str, Any] = (
        {"pool_size": READERS + 1, "max_overflow": 0} if sqlite else _POSTGRESQL
    )
    if not sqlite and made.query.get(POOLED) == "true":
        made, options = made.difference_update_query([POOLED]), _pooled(options)
    # An error's text goes to logs and dead letters; what customers sent does not.
    engine = create_engine(made, hide_parameters=True, **options)
    if sqlite:
        event.listen(engine, "connect", partial(_keep_private, sqlite_file(url)))
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin)
    elif patience:
        event.listen(
            engine,
            "do_connect",
            lambda _1, _2, given, named: patience.connect(*given, **named),
        )
    return engine


def _pooled(options: dict[str, Any]) -> dict[str, Any]:
    # Each transaction may have another connection to the server: settings and prepared statements would be
    # another client's. The role has the settings then (migrate.py looks).
    arguments = {**options["connect_args"], "prepare_threshold": None}
    del arguments["options"]
    marked = {POOLED: True}
    return {**options, "connect_args": arguments, "execution_options": marked}


def _with_driver(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg://", 1)


def is_sqlite(url: str) -> bool:
    """Return whether this is the URL of an SQLite database."""
    return make_url(url).get_backend_name() == "sqlite"


def sqlite_file(url: str) -> Path:
    """Return the file of an SQLite URL."""
    return Path(make_url(url).database or "").absolute()


def _keep_private(file: Path, _connection: object, _record: object) -> None:
    # It holds names and addresses. SQLite gives the files beside it the same mode.
    with suppress(OSError):  # it is somebody else's
        file.chmod(0o600)


def _set_up_sqlite(connection: Any, _record: object) -> None:  # noqa: ANN401 - SQLAlchemy's
    # The driver would begin transactions itself, late and deferred: `_begin` does it instead.
    connection.isolation_level = None
    cursor = connection.cursor()
    try:
        for pragma in _PRAGMAS:
            cursor.execute(f"PRAGMA {pragma}")
    finally:
        cursor.close()


def _begin(connection: Connection) -> None:
    # A transaction that reads and then writes would fail with SQLITE_BUSY_SNAPSHOT, which no time-out
    # waits for, had another one written in between: so writers take their place at once.
    begin = connection.get_execution_options().get("begin", "BEGIN IMMEDIATE")
    connection.exec_driver_sql(begin)
