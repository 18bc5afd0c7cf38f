"""Migrations on PostgreSQL: they make what the models say, and replicas that start together take turns."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from chassis.database import migrate
from chassis.database.engine import open_engine
from tests.chassis.database.test_migration import (
    BOTH,
    NEWEST,
    SERVICES,
    VERSIONS,
    breaks_off,
    config,
    copy_of_order,
    upgrade_together,
)
from tests.support.database import migrations, upgrade
from tests.support.postgresql import Databases


@pytest.fixture
def url(databases: Databases) -> Iterator[str]:
    """Make an empty database."""
    with databases.fresh() as made:
        yield made


def ask(url: str, query: str) -> list[object]:
    """Return the first column of what a query finds."""
    engine = open_engine(url)
    with engine.connect() as connection:
        found = [row[0] for row in connection.execute(text(query))]
    engine.dispose()
    return found


def tables(url: str) -> set[object]:
    """Return the names of all tables."""
    query = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    return {*ask(url, query)}


@BOTH
def test_the_migrations_make_what_the_models_say(service: str, url: str) -> None:
    upgrade(service, url)

    command.check(config(service, url))


@BOTH
def test_every_migration_can_be_undone_and_made_again(service: str, url: str) -> None:
    upgrade(service, url)
    first = tables(url)

    command.downgrade(config(service, url), "base")
    left = tables(url)
    upgrade(service, url)

    assert left == VERSIONS
    assert tables(url) == first


async def test_a_migration_that_breaks_off_leaves_nothing_half_done(
    url: str, tmp_path: Path
) -> None:
    upgrade("order", url)
    copied = copy_of_order(tmp_path)
    breaks_off(copied, "os.kill(os.getpid(), 9)")

    ((ended, said),) = await upgrade_together(("order", url, copied))

    assert ended == -9, said
    assert set(ask(url, "SELECT version_num FROM alembic_version")) == NEWEST
    assert "invoice" not in tables(url)


def test_a_database_of_another_service_is_refused_before_anything_is_made(
    url: str,
) -> None:
    upgrade("order", url)
    before = tables(url)

    with pytest.raises(migrate.WrongDatabase, match="belongs to the service order"):
        upgrade("notification", url)

    assert tables(url) == before


def test_options_that_the_driver_knows_are_understood(url: str) -> None:
    upgrade("order", f"{url}?sslmode=prefer&application_name=order&keepalives=1")

    # The server of the tests has no TLS: what it refuses shows that the option was understood.
    with pytest.raises(migrate.WrongDatabase, match="server does not support SSL"):
        upgrade("order", f"{url}?sslmode=require")


async def test_replicas_that_start_together_take_turns(url: str) -> None:
    start = ("order", url, migrations("order"))

    ended = await upgrade_together(start, start, start)

    assert [status for status, _ in ended] == [0] * 3, ended
    assert ask(url, "SELECT count(*) FROM feed") == [1]


async def test_services_that_start_together_on_one_database_make_no_half_schema(
    url: str,
) -> None:
    ended = await upgrade_together(
        *((service, url, migrations(service)) for service in SERVICES)
    )

    assert sorted(status for status, _ in ended) == [0, 1]
    assert any("belongs to the service" in said for _, said in ended)
    assert len({"orders", "notification"} & tables(url)) == 1


def test_a_migration_waits_for_another_replica_and_gives_up_in_the_end(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "MAX_WAIT", 1.0)
    engine = open_engine(url)
    with engine.connect() as other:
        other.execute(text(f"SELECT pg_advisory_xact_lock({migrate.ADVISORY_LOCK})"))

        with pytest.raises(OperationalError, match="lock timeout"):
            upgrade("order", url)

    engine.dispose()
    assert tables(url) == set()


def test_a_migration_holds_up_nobody_behind_a_table_that_is_in_use(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever reads or writes the table waits behind a migration that waits for it."""
    monkeypatch.setattr(migrate, "LOCK_WAIT", 0.2)
    upgrade("order", url)
    copied = copy_of_order(tmp_path)
    breaks_off(copied, "pass")
    engine = open_engine(url)
    with engine.connect() as other:
        other.execute(text("SELECT count(*) FROM orders"))

        with pytest.raises(TimeoutError, match="the next start tries again"):
            migrate.upgrade("order", url, copied)

    engine.dispose()
    assert "invoice" not in tables(url)
    migrate.upgrade("order", url, copied)
    assert "invoice" in tables(url)
