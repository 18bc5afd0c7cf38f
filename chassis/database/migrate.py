"""Migrations: at each start, Alembic brings the tables of the chassis and of the service to the newest version.

They are two branches in one database: the chassis' own (chassis/database/migrations), and the service's, in a
folder that holds nothing but `versions/`, with its own tables. To write a migration after a change of a model:

    python -m chassis.database.migrate services.shop "Add a colour"

Each states `compatible_from`, the oldest version whose code works on the tables that it leaves; one that does not
is for its own code alone. `schema_version` has where a database is, and `alembic_version`, which is all that 1.0.0
reads, the oldest versions that suit it (docs/databases.md).
"""

import logging
import os
import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from alembic import command, context
from alembic.config import Config
from alembic.script import ScriptDirectory
from psycopg.errors import LockNotAvailable
from sqlalchemy import (
    Column,
    Connection,
    Engine,
    MetaData,
    String,
    Table,
    event,
    inspect,
    make_url,
    select,
    text,
)
from sqlalchemy.exc import OperationalError, ProgrammingError

from chassis.database.engine import POOLED, Utc, is_sqlite, open_engine, sqlite_file
from chassis.runtime.lock import try_lock

_log = logging.getLogger(__name__)

MAX_WAIT = 60.0
"""How long another process may migrate the same database, in seconds."""

ADVISORY_LOCK = 0x6F7264657273
"""The number of PostgreSQL's advisory lock that a migration holds: any, as long as it is always the same."""

LOCK_WAIT = 5.0
"""How long a migration waits for whoever uses a table, in seconds: all others who want it wait behind it."""

_CORRECT = "correct that in DATABASE_URL, or leave it out"
_REMEDIES = {
    r"\binvalid (?:integer value|port number|\w+ value)\b|weak sslmode": _CORRECT,
    "certificate verify failed": "name in sslrootcert the authority that signed the server's certificate, "
    "or have a certificate renewed that has expired",
    "does not match host name": "write the host in DATABASE_URL as the server's certificate names it, "
    "or have a certificate made for this host",
    "server does not support SSL": "switch TLS on at the server (ssl = on), or correct the host in DATABASE_URL",
    "unsupported startup parameter": "that is PgBouncer, which wants pgbouncer=true in DATABASE_URL",
    "root certificate file": "name in sslrootcert a PEM file that this service can read, with the authority "
    "that signed the server's certificate",
}
"""What libpq says where waiting would mend nothing, as patterns, and what to do."""

_OF_ROLE = {
    "synchronous_commit": "'on'",
    "statement_timeout": "'30s'",
    "idle_in_transaction_session_timeout": "'30s'",
}
"""What a connection says itself that leads to the server (engine.py)."""

_ALEMBIC = threading.Lock()
"""Alembic's context belongs to the whole process."""

_CHASSIS = Path(__file__).parent / "migrations"

_versions = MetaData()
_reached, _needed = (
    Table(name, _versions, Column("version_num", String(32), primary_key=True))
    for name in ("schema_version", "alembic_version")
)
"""Where each branch is, and the oldest version of it whose code works on these tables."""


class WrongDatabase(Exception):
    """This service can never work on this database: its text is one sentence, with the remedy."""


def configuration(service: str, url: str, folder: Path | None = None) -> Config:
    """Return Alembic's configuration for a service whose migrations are in this folder, if it has any."""
    versions = [each / "versions" for each in (_CHASSIS, folder) if each]
    config = Config()
    config.set_main_option("script_location", _escaped(_CHASSIS))
    config.set_main_option("path_separator", "os")
    config.set_main_option(
        "version_locations", os.pathsep.join(map(_escaped, versions))
    )
    config.attributes.update(service=service, url=url)
    return config


def _escaped(path: Path) -> str:
    return str(path).replace("%", "%%")


def upgrade(service: str, url: str, folder: Path | None = None) -> None:
    """Bring the database to the newest version; processes that start together take turns.

    Raises WrongDatabase before anything is created.
    """
    if is_sqlite(url) and make_url(url).query:
        raise WrongDatabase(
            "An SQLite DATABASE_URL takes no options: leave out what follows its question mark."
        )
    with _ALEMBIC, _only_process(url) if is_sqlite(url) else nullcontext():
        command.upgrade(configuration(service, url, folder), "heads")


@contextmanager
def _only_process(url: str) -> Iterator[None]:
    file = sqlite_file(url)
    file.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + MAX_WAIT
    with Path(f"{file}.migration.lock").open("ab") as lock:
        while not try_lock(lock):
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"another process has migrated for {MAX_WAIT:.0f} s ({lock.name})"
                )
            time.sleep(0.1)
        yield


def run() -> None:
    """Carry out what Alembic was asked to do; migrations/env.py calls this."""
    attributes = context.config.attributes
    engine = open_engine(attributes["url"])
    turn = nullcontext() if is_sqlite(attributes["url"]) else _only_replica(engine)
    try:
        with turn, _connected(engine) as connection, _locks_named():
            _check_owner(connection, attributes["service"])
            _migrate(connection)
    finally:
        engine.dispose()


def _connected(engine: Engine) -> Connection:
    try:
        return engine.connect()
    except (ProgrammingError, OperationalError, TypeError) as error:
        said = str(getattr(error, "orig", error)).strip()
        lines = said.removeprefix("connection failed: ").split("\n")
        found = _refusal(lines)
        if not found and isinstance(error, OperationalError):
            raise
        line, remedy = found or (lines[0], _CORRECT)
        raise WrongDatabase(
            f"This service cannot connect to its database ({line}): {remedy}."
        ) from error


def _refusal(lines: list[str]) -> tuple[str, str] | None:
    # One line for each address that the host's name has, or for each host.
    for line in lines:
        for said, remedy in _REMEDIES.items():
            if re.search(said, line):
                return line, remedy
    return None


@contextmanager
def _only_replica(engine: Engine) -> Iterator[None]:
    # Replicas on several machines start together: PostgreSQL's own lock, until the end of a transaction that
    # does nothing else, for each migration has one of its own.
    with _connected(engine) as connection, connection.begin():
        _check_role(connection)
        _limit(connection, MAX_WAIT)
        number = {"number": ADVISORY_LOCK}
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), number)
        # The driver's last statement keeps its snapshot, for which an index that is built meanwhile would wait.
        _limit(connection)
        event.listen(engine, "begin", _limit)
        yield


def _check_role(connection: Connection) -> None:
    if not connection.get_execution_options().get(POOLED):
        return
    for name, value in _OF_ROLE.items():
        if connection.scalar(text(f"SHOW {name}")) in {"0", "off"}:
            role = connection.scalar(text("SELECT quote_ident(current_user)"))
            raise WrongDatabase(
                f"Behind PgBouncer a connection has the settings of its role, and there {name} is off: "
                f"ALTER ROLE {role} SET {name} = {value}, then RECONNECT in PgBouncer's console."
            )


def _limit(connection: Connection, lock_wait: float | None = None) -> None:
    # Of this transaction alone: behind a pooler, the next one may be somebody else's.
    wait = LOCK_WAIT if lock_wait is None else lock_wait
    for each in (
        f"lock_timeout = '{wait * 1000:.0f}ms'",
        "statement_timeout = 0",
        "idle_in_transaction_session_timeout = 0",
    ):
        connection.exec_driver_sql(f"SET LOCAL {each}")


@contextmanager
def _locks_named() -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        if not isinstance(error.orig, LockNotAvailable):
            raise
        raise TimeoutError(
            f"another transaction has used a table that a migration changes for {LOCK_WAIT:.0f} s; "
            "nothing was changed, and the next start tries again"
        ) from error


def _check_owner(connection: Connection, service: str) -> None:
    if not inspect(connection).has_table("feed"):
        return
    owner = connection.scalar(text("SELECT service FROM feed"))
    if owner != service:
        raise WrongDatabase(
            f"This database belongs to the service {owner}, and each service needs one of its own: "
            f"set another DATABASE_URL for {service}."
        )


def _migrate(connection: Connection) -> None:
    _make_versions(connection)
    if _is_newer(connection):
        return
    connection.commit()
    attributes = context.config.attributes
    foreign = (*attributes.get("foreign", ()), *_versions.tables)
    # Both databases can change tables in a transaction: a migration that fails leaves nothing half done.
    context.configure(
        connection,
        target_metadata=attributes.get("tables", ()),
        include_name=lambda name, kind, _: kind != "table" or name not in foreign,
        render_item=_render,
        version_table=_reached.name,
        on_version_apply=_state_needed,
        transactional_ddl=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def _make_versions(connection: Connection) -> None:
    is_made = inspect(connection).has_table(_reached.name)
    _versions.create_all(connection)
    if not is_made:
        all_known = _reached.insert().from_select(["version_num"], select(_needed))
        connection.execute(all_known)


def _is_newer(connection: Connection) -> bool:
    """Return whether a newer release made tables that suit this one; raises WrongDatabase where they do not."""
    known = {each.revision for each in context.script.walk_revisions()}
    for version in connection.scalars(select(_needed)):
        if version not in known:
            raise WrongDatabase(
                f"The database's tables are at version {version}, which this release does not know: start the "
                "release that made them or a newer one, restore a backup from before, or remove the database "
                "where its data are not needed."
            )
    newer = {*connection.scalars(select(_reached))} - known
    if newer:
        said = "the tables are of a newer release (%s), and suit this one"
        _log.warning(said, ", ".join(sorted(newer)))
    return bool(newer)


def _state_needed(*_: Any, **applied: Any) -> None:  # noqa: ANN401 - Alembic's own
    # In the transaction of the migration.
    connection, heads = applied["ctx"].connection, sorted(applied["heads"])
    connection.execute(_needed.delete())
    for each in heads:
        needed = _compatible_from(context.script, each)
        connection.execute(_needed.insert().values(version_num=needed))


def _compatible_from(script: ScriptDirectory, revision: str) -> str:
    found = script.get_revision(revision)
    return str(getattr(found.module, "compatible_from", revision))


def _render(kind: str, item: object, _context: object) -> str | Literal[False]:
    # A migration stays as it is while the code goes on: it names none of the project's own types.
    is_utc = kind == "type" and isinstance(item, Utc)
    return "sa.DateTime(timezone=True)" if is_utc else False


def write(package: str, message: str) -> None:
    """Write a service's next migration: from its newest one to its models as they are now."""
    service = package.rpartition(".")[2]
    base = import_module(f"{package}.model").Base
    folder = Path(import_module(package).__path__[0]) / "migrations"
    versions = folder / "versions"
    for each in (folder, versions):
        each.mkdir(exist_ok=True)
        (each / "__init__.py").touch()
    number = len([*versions.glob("[0-9]*.py")]) + 1
    with TemporaryDirectory() as scratch:
        url = f"sqlite:///{scratch}/{service}.db"
        upgrade(service, url)
        foreign = _tables(url)
        upgrade(service, url, folder)
        config = configuration(service, url, folder)
        config.attributes.update(tables=base.metadata, foreign=foreign)
        if number > 1:
            script = ScriptDirectory.from_config(config)
            newest = script.get_revision(f"{service}@head").revision
            config.attributes["compatible_from"] = _compatible_from(script, newest)
        command.revision(
            config,
            message,
            autogenerate=True,
            head=f"{service}@head" if number > 1 else "base",
            branch_label=service if number == 1 else None,
            rev_id=f"{number:04}_{service}",
            version_path=str(versions),
        )


def _tables(url: str) -> list[str]:
    engine = open_engine(url)
    try:
        return inspect(engine).get_table_names()
    finally:
        engine.dispose()


if __name__ == "__main__":
    write(*sys.argv[1:])
