"""Migrations while services run: an older release works on newer tables that suit it, and starts on them."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import inspect, text

from chassis.database import Database, migrate
from chassis.database.engine import open_engine
from tests.chassis.database.test_migration import copy_of_order
from tests.support.database import execute, upgrade
from tests.support.postgresql import Databases

OURS = "0001.2_order"
EXPAND = "op.add_column('orders', sa.Column('colour', sa.String(20)))"
INDEX = "create_index(op.get_bind(), 'orders_colour', 'orders', '(colour, id)')"
CONTRACT = "op.drop_column('orders', 'colour')"
MIGRATION = """
import sqlalchemy as sa
from alembic import op
from chassis.database.indexes import create_index
revision, down_revision, branch_labels, depends_on = "{revision}", "{after}", None, None
compatible_from = "{compatible_from}"
def upgrade():
    {does}
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Make a database of the order service at the version of now."""
    if request.param == "sqlite":
        made = f"sqlite:///{tmp_path}/order.db"
        upgrade("order", made)
        yield made
        return
    with _cluster(request).fresh() as made:
        upgrade("order", made)
        yield made


def _cluster(request: pytest.FixtureRequest) -> Databases:
    found: Databases = request.getfixturevalue("databases")
    return found


Adds = Callable[[str, str, str], Path]
"""Adds a migration to those of the order service: its revision, what it does, and `compatible_from`."""


@pytest.fixture
def adds(tmp_path: Path) -> Adds:
    """Return what adds a migration to those of the order service, and returns their folder."""
    folder = copy_of_order(tmp_path)
    newest = [OURS]

    def add(revision: str, does: str, compatible_from: str) -> Path:
        filled = MIGRATION.format(
            revision=revision,
            after=newest[-1],
            does=does,
            compatible_from=compatible_from,
        )
        newest.append(revision)
        (folder / "versions" / f"{revision}.py").write_text(filled)
        return folder

    return add


def versions(url: str, table: str) -> set[str]:
    """Return the versions of the service in one of the two tables."""
    engine = open_engine(url)
    with engine.connect() as connection:
        query = text(f"SELECT version_num FROM {table}")  # noqa: S608 - one of two
        found = {each for each in connection.scalars(query) if "order" in each}
    engine.dispose()
    return found


def test_an_older_release_starts_where_newer_tables_suit_it_and_changes_nothing(
    url: str, adds: Adds, caplog: pytest.LogCaptureFixture
) -> None:
    migrate.upgrade("order", url, adds("0002_order", EXPAND, OURS))

    with caplog.at_level(logging.WARNING):
        upgrade("order", url)

    assert "newer release (0002_order), and suit this one" in caplog.text
    assert versions(url, "schema_version") == {"0002_order"}
    assert versions(url, "alembic_version") == {OURS}


def test_an_older_release_is_refused_where_newer_tables_do_not_suit_it(
    url: str, adds: Adds, tmp_path: Path
) -> None:
    adds("0002_order", EXPAND, OURS)
    before = copy_of_order(tmp_path / "the release before")
    (before / "versions" / "0002_order.py").write_text(
        (tmp_path / "migrations" / "versions" / "0002_order.py").read_text()
    )
    migrate.upgrade("order", url, adds("0003_order", CONTRACT, "0002_order"))

    migrate.upgrade("order", url, before)
    with pytest.raises(migrate.WrongDatabase, match="at version 0002_order, which"):
        upgrade("order", url)


def test_a_column_and_its_index_are_made_by_one_start_of_a_newer_release(
    url: str, adds: Adds
) -> None:
    adds("0002_order", EXPAND, OURS)

    migrate.upgrade("order", url, adds("0003_order", INDEX, OURS))

    engine = open_engine(url)
    indexes = [each["name"] for each in inspect(engine).get_indexes("orders")]
    engine.dispose()
    assert "orders_colour" in indexes
    assert versions(url, "alembic_version") == {OURS}


async def test_a_database_of_1_0_0_has_one_table_of_versions_and_gets_the_other(
    url: str,
) -> None:
    database = Database(url, "order")
    await execute(database, "DROP TABLE schema_version")
    await database.close()

    await asyncio.to_thread(upgrade, "order", url)

    assert versions(url, "schema_version") == {OURS}
