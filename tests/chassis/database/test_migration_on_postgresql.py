"""Migrations on PostgreSQL: they make what the models say, and replicas that start together take turns."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from alembic import command
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from chassis.database import migrate as migration
from tests.chassis.test_migration import (
    NEWEST,
    breaks_off,
    copy_of_order,
    in_a_process,
)
from tests.support.postgresql import Databases

ROOT = Path(__file__).parents[2]
BOTH = pytest.mark.parametrize("service", ["order", "notification"])
SENT = """
INSERT INTO notification (id, order_id, customer_name, order_created_at, channel, state, attempt, sent_at)
VALUES (:id, :order, 'Jane', now(), 'console', 'SENT', 1, '2026-01-31T09:15:30.123+01:00')
"""
UPGRADE = """
import sys
from chassis.database import migrate as migration

print("ready", flush=True)
sys.stdin.readline()
migration.upgrade("order", sys.argv[1])
"""


@pytest.fixture
def url(databases: Databases) -> Iterator[str]:
    """Make an empty database."""
    with databases.fresh() as made:
        yield made


async def ask(url: str, query: str) -> list[object]:
    """Give the first column of what a query finds."""
    engine = create_async_engine(url)
    async with engine.connect() as connection:
        found = [row[0] for row in await connection.execute(text(query))]
    await engine.dispose()
    return found


async def tables(url: str) -> set[object]:
    """Give the names of all tables."""
    query = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    return {*await ask(url, query)}


async def upgraded(service: str, url: str) -> None:
    """Bring a database to the newest version."""
    await asyncio.to_thread(migration.upgrade, service, url)


@BOTH
async def test_the_migrations_make_what_the_models_say(service: str, url: str) -> None:
    await upgraded(service, url)

    config = migration.configuration(service, url)
    await asyncio.to_thread(command.check, config)


@BOTH
async def test_every_migration_can_be_taken_back_and_made_again(
    service: str, url: str
) -> None:
    await upgraded(service, url)
    first = await tables(url)

    config = migration.configuration(service, url)
    await asyncio.to_thread(command.downgrade, config, "base")
    left = await tables(url)
    await upgraded(service, url)

    assert left == {"alembic_version"}
    assert await tables(url) == first


async def test_a_migration_that_breaks_off_leaves_nothing_half_done(
    url: str, tmp_path: Path
) -> None:
    await upgraded("order", url)
    copied = copy_of_order(tmp_path)
    breaks_off(copied, "os.kill(os.getpid(), 9)")

    ended, _ = await in_a_process('command.upgrade(config, "head")', copied, url)

    assert ended != 0
    assert await ask(url, "SELECT version_num FROM alembic_version") == [NEWEST]
    assert "invoice" not in await tables(url)


async def test_an_upgrade_tells_what_was_sent_before(url: str) -> None:
    config = migration.configuration("notification", url)
    await asyncio.to_thread(command.upgrade, config, "0001")
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(text(SENT), {"id": uuid4(), "order": uuid4()})
    await engine.dispose()

    await upgraded("notification", url)

    (event,) = await ask(url, "SELECT event FROM outbox")
    assert '"sentAt": "2026-01-31T08:15:30.123Z"' in str(event)
    assert await ask(url, "SELECT version FROM notification") == [1]


async def test_replicas_that_start_together_take_turns(url: str) -> None:
    replicas = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", UPGRADE, url),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        for _ in range(3)
    ]
    said = [await each.stdout.readline() for each in replicas if each.stdout]

    ended = await asyncio.gather(*(each.communicate(b"go\n") for each in replicas))

    assert said == [b"ready\n"] * 3
    assert [each.returncode for each in replicas] == [0] * 3, ended
    assert await ask(url, "SELECT count(*) FROM feed") == [1]


async def test_whoever_waits_for_another_replica_gives_up_in_the_end(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migration, "PATIENCE", 1.0)
    engine = create_async_engine(url)
    async with engine.connect() as other:
        await other.execute(text(f"SELECT pg_advisory_xact_lock({migration.LOCK})"))

        with pytest.raises(Exception, match="lock timeout"):
            await upgraded("order", url)

    await engine.dispose()
    assert await tables(url) == set()
