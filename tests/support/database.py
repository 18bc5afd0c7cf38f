"""Databases for tests, made by the services' own migrations: on SQLite, or on PostgreSQL."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sqlalchemy import text

from chassis.database import migrate as migration
from chassis.database.unit_of_work import Database
from tests.support.postgresql import Databases

# A deferred foreign key is checked by COMMIT itself: everything before it succeeds.
BROKEN = "CREATE TABLE broken (parent bigint REFERENCES outbox (position) DEFERRABLE INITIALLY DEFERRED)"
WHAT_FAILS_AT_COMMIT = {
    "sqlite": (
        BROKEN,
        "CREATE TRIGGER broken AFTER INSERT ON outbox BEGIN INSERT INTO broken VALUES (-1); END",
    ),
    "postgresql": (
        BROKEN,
        "CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN INSERT INTO broken VALUES (-1); RETURN NULL; END'",
        "CREATE TRIGGER broken AFTER INSERT ON outbox EXECUTE FUNCTION broken()",
    ),
}

_opened: dict[tuple[str, Path], str] = {}
_postgresql: list[tuple[Databases, ExitStack]] = []


@contextmanager
def on_postgresql(databases: Databases) -> Iterator[None]:
    """Make every database within on PostgreSQL; all are dropped at the end."""
    with ExitStack() as stack:
        _postgresql.append((databases, stack))
        try:
            yield
        finally:
            _postgresql.clear()
            _opened.clear()


def url_in(folder: Path, service: str) -> str:
    """Name a service's database that belongs to this folder: the same one whenever it is asked for."""
    if not _postgresql:
        return f"sqlite+aiosqlite:///{folder}/{service}.db"
    if (service, folder) not in _opened:
        databases, stack = _postgresql[0]
        template = databases.template(
            f"{service} template", lambda url: migration.upgrade(service, url)
        )
        _opened[service, folder] = stack.enter_context(databases.fresh(template))
    return _opened[service, folder]


def migrated(service: str, folder: Path) -> Database:
    """Make a service's database in this folder, at its newest migration."""
    url = url_in(folder, service)
    # Alembic's asyncio.run wants a thread of its own where a loop is running already.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(migration.upgrade, service, url).result()
    return Database(url, service)


async def execute(database: Database, *statements: str) -> None:
    """Carry SQL out, in one transaction."""
    async with database.write() as session:
        for statement in statements:
            await session.execute(text(statement))


async def break_commits(database: Database) -> None:
    """Let every commit fail that stores an event: at the commit itself, when all before it went well."""
    await execute(database, *WHAT_FAILS_AT_COMMIT[database.engine.dialect.name])


async def mend_commits(database: Database) -> None:
    """Let commits succeed again."""
    of_table = " ON outbox" if database.is_shared else ""
    await execute(database, f"DROP TRIGGER broken{of_table}")


async def refuses(database: Database, what: str, table: str) -> None:
    """Let a database refuse what is done to a table from now on, as "INSERT"."""
    said = "there is no room"
    if database.is_shared:
        statements = [
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
            f"'BEGIN RAISE EXCEPTION ''{said}''; END'",
            f"CREATE TRIGGER refuse BEFORE {what} ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION refuse()",
        ]
    else:
        statements = [
            f"CREATE TRIGGER refuse BEFORE {what} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{said}'); END"
        ]
    await execute(database, *statements)
