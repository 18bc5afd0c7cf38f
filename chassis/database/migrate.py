"""A service's tables are made and changed by its Alembic migrations, applied when it starts.

To write a migration after a change of a model: python -m chassis.migration order "what changes".
"""

import asyncio
import sqlite3
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Literal

from alembic import command, context
from alembic.config import Config
from sqlalchemy import Connection, MetaData, text
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.database.unit_of_work import Utc, create_engine, is_sqlite, sqlite_file
from chassis.runtime.lock import try_lock

PATIENCE = 60.0
"""How long another process may migrate the same database, in seconds."""

LOCK = 0x6F7264657273
"""The number of PostgreSQL's advisory lock that a migration holds: any, as long as it is always the same."""

_SERVICES = Path(__file__).parent.parent / "services"


def configuration(service: str, url: str) -> Config:
    """Make Alembic's configuration for a service's migrations, on the database at this URL."""
    config = Config()
    config.set_main_option("script_location", str(_SERVICES / service / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["url"] = url
    return config


def upgrade(service: str, url: str) -> None:
    """Bring the database to the newest migration; processes that start together take turns."""
    if not is_sqlite(url):
        command.upgrade(configuration(service, url), "head")
        return
    file = sqlite_file(url)
    file.parent.mkdir(parents=True, exist_ok=True)
    with Path(f"{file}.migration.lock").open("ab") as lock:
        _wait_for(lock)
        # Opened here first: where that fails, aiosqlite's thread would outlive its loop, and complain.
        sqlite3.connect(file).close()
        command.upgrade(configuration(service, url), "head")


def _wait_for(lock: IO[bytes]) -> None:
    # Not without end: a thread cannot be told to stop, and the service could not end meanwhile.
    deadline = time.monotonic() + PATIENCE
    while not try_lock(lock):
        if time.monotonic() > deadline:
            raise TimeoutError(
                f"another process has migrated for {PATIENCE:.0f} s ({lock.name})"
            )
        time.sleep(0.1)


def run(models: Sequence[MetaData]) -> None:
    """Carry out what Alembic was asked to do; each service's migrations/env.py calls this with its tables."""
    asyncio.run(_run(context.config.attributes["url"], models))


async def _run(url: str, models: Sequence[MetaData]) -> None:
    engine = create_engine(url)
    try:
        async with engine.connect() as connection:
            if not is_sqlite(url):
                await _take_turn(connection)
            await connection.run_sync(_migrate, models)
            await connection.commit()
    finally:
        await engine.dispose()


async def _take_turn(connection: AsyncConnection) -> None:
    # Replicas on several machines start together: PostgreSQL's own lock, until the end of this transaction.
    await connection.execute(text(f"SET LOCAL lock_timeout = '{PATIENCE:.0f}s'"))
    await connection.execute(text("SELECT pg_advisory_xact_lock(:it)"), {"it": LOCK})


def _migrate(connection: Connection, models: Sequence[MetaData]) -> None:
    # Both databases can change tables in a transaction: a migration that breaks off leaves nothing half done.
    context.configure(
        connection, target_metadata=models, transactional_ddl=True, render_item=_render
    )
    with context.begin_transaction():
        context.run_migrations()


def _render(kind: str, item: object, _context: object) -> str | Literal[False]:
    # A migration stays as it is while the code goes on: it names none of the project's own types.
    return (
        "sa.DateTime(timezone=True)"
        if kind == "type" and isinstance(item, Utc)
        else False
    )


def write(service: str, message: str) -> None:
    """Write the migration from the newest one to the models as they are now."""
    with TemporaryDirectory() as folder:
        url = f"sqlite+aiosqlite:///{folder}/{service}.db"
        upgrade(service, url)
        script = configuration(service, url)
        number = (
            len(
                list(
                    (_SERVICES / service / "migrations" / "versions").glob("[0-9]*.py")
                )
            )
            + 1
        )
        command.revision(script, message, autogenerate=True, rev_id=f"{number:04}")


if __name__ == "__main__":
    write(*sys.argv[1:])
