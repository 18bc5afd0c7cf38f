"""Databases for tests, made by the services' own migrations: on SQLite, or on PostgreSQL."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.orm import Session

from chassis.database import Database, after_commit, migrate
from chassis.signature import SigningKeys
from tests.support.postgresql import Databases

ROOT = Path(__file__).parents[2]

KEYS_TEXT = "tests:only-tests-sign-events-with-this-key"
KEYS = SigningKeys.parse(KEYS_TEXT)
"""What a test's databases sign events with; see `secrets_in` for its services."""

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


def migrations(service: str) -> Path:
    """Return the folder of a service's migrations."""
    return ROOT / "services" / service.replace("-", "_") / "migrations"


def upgrade(service: str, url: str) -> None:
    """Bring a service's database to the newest version."""
    migrate.upgrade(service, url, migrations(service))


def url_in(folder: Path, service: str) -> str:
    """Return the URL of a service's database that belongs to this folder: always the same one."""
    if not _postgresql:
        return f"sqlite:///{folder}/{service}.db"
    if (service, folder) not in _opened:
        databases, stack = _postgresql[0]
        template = databases.template(
            f"{service} template", lambda url: upgrade(service, url)
        )
        _opened[service, folder] = stack.enter_context(databases.fresh(template))
    return _opened[service, folder]


def secrets_in(folder: Path) -> Path:
    """Return a folder of secrets for services, with the key that `migrated` databases sign with."""
    for service in ("order", "notification"):
        (folder / f"{service}.keys").write_text(KEYS_TEXT)
    return folder


def migrated(service: str, folder: Path) -> Database:
    """Return a service's database in this folder, at its newest version."""
    url = url_in(folder, service)
    upgrade(service, url)
    return Database(url, service, keys=KEYS)


async def execute(database: Database, *statements: str) -> None:
    """Execute SQL, in one transaction."""

    def work(session: Session) -> None:
        for statement in statements:
            session.execute(text(statement))

    await database.write(work)


async def followed(database: Database) -> None:
    """Wait until all that follows the commits so far is done."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def work(session: Session) -> None:
        after_commit(session, lambda: loop.call_soon_threadsafe(done.set))

    await database.write(work)
    await asyncio.wait_for(done.wait(), 30)


async def break_commits(database: Database) -> None:
    """Make every commit fail that stores an event: at COMMIT itself, after everything before it succeeded."""
    await execute(database, *WHAT_FAILS_AT_COMMIT[database.engine.dialect.name])


async def mend_commits(database: Database) -> None:
    """Make commits succeed again."""
    of_table = " ON outbox" if database.is_shared else ""
    await execute(database, f"DROP TRIGGER broken{of_table}")


async def refuses(database: Database, what: str, table: str) -> None:
    """Make a database refuse what is done to a table from now on, as "INSERT"."""
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
