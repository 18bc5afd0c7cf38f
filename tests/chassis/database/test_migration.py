"""Migrations: they make what the models say, once, whoever starts how often, and all or nothing."""

import asyncio
import shutil
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import ModuleType

import pytest
from alembic import command
from alembic.config import Config

from chassis.database import migrate as migration
from chassis.database.unit_of_work import Database, sqlite_file
from chassis.runtime.lock import try_lock
from services.notification import model as notification
from services.order import model as order

ROOT = Path(__file__).parents[2]
BOTH = pytest.mark.parametrize("service", ["order", "notification"])

A_NEW_TABLE_AND_A_NEW_COLUMN = """
import sqlalchemy as sa
from chassis.database import migrate as migration
from services.order.model import TABLES, Order

more = sa.MetaData()
sa.Table("invoice", more, sa.Column("id", sa.Integer, primary_key=True))
Order.__table__.to_metadata(more).append_column(sa.Column("colour", sa.String(20)))
migration.run([more, *TABLES[1:]])
"""
VERSIONS = ROOT / "services" / "order" / "migrations" / "versions"
NEWEST = max(VERSIONS.glob("[0-9]*.py")).name[:4]
BREAKS_OFF = """
import os
import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = "9999", "{newest}", None, None


def upgrade():
    op.create_table("invoice", sa.Column("id", sa.Integer, primary_key=True))
    op.add_column("orders", sa.Column("colour", sa.String(20)))
    op.execute("INSERT INTO orders (id, customer_name, created_at, colour) "
               "VALUES ('x', 'Jane', '2026-01-31', 'red')")
    {end}
"""
ALEMBIC = """
import sys
from alembic import command
from chassis.database import migrate as migration

config = migration.configuration("order", sys.argv[1])
config.set_main_option("script_location", sys.argv[2])
exec(sys.argv[3])
"""
UPGRADE_AS_A_SERVICE_DOES = """
import sys
from chassis.database import migrate as migration

print("ready", flush=True)
sys.stdin.readline()
migration.upgrade("order", sys.argv[1])
"""


def breaks_off(copied: Path, end: str) -> None:
    """Add a migration that ends before it is done."""
    text = BREAKS_OFF.format(newest=NEWEST, end=end)
    (copied / "versions" / "9999_breaks_off.py").write_text(text)


def url_in(folder: Path) -> str:
    """Name a database in this folder."""
    return f"sqlite+aiosqlite:///{folder}/test.db"


def ask(url: str, query: str) -> list[tuple[object, ...]]:
    """Ask a database as it is, with nothing of ours between."""
    with closing(sqlite3.connect(sqlite_file(url))) as connection:
        return list(connection.execute(query))


def schema(url: str) -> set[str]:
    """Give the statements that would make this database."""
    found = ask(url, "SELECT sql FROM sqlite_master WHERE sql NOT NULL")
    return {str(sql) for (sql,) in found}


def structure(url: str) -> set[tuple[object, ...]]:
    """Give every column and every index, with what alembic's own check does not compare on SQLite."""
    columns = """
        SELECT t.name, c.name, c.type, c."notnull", c.dflt_value, c.pk, t.sql LIKE '%AUTOINCREMENT%'
        FROM sqlite_master t, pragma_table_info(t.name) c WHERE t.type = 'table'
    """
    indexes = """
        SELECT t.name, i."unique", i.origin, i.partial, group_concat(c.name), s.sql
        FROM sqlite_master t, pragma_index_list(t.name) i, pragma_index_info(i.name) c
        JOIN sqlite_master s ON s.name = i.name GROUP BY t.name, i.name
    """
    found = {*ask(url, columns), *ask(url, indexes)}
    return {each for each in found if each[0] != "alembic_version"}


def version(url: str) -> str:
    """Give the version that this database is at."""
    ((number,),) = ask(url, "SELECT version_num FROM alembic_version")
    return str(number)


def copy_of_order(folder: Path) -> Path:
    """Copy the order service's migrations, so that a test can change them."""
    copied = folder / "migrations"
    source = ROOT / "services" / "order" / "migrations"
    shutil.copytree(source, copied, ignore=shutil.ignore_patterns("__pycache__"))
    return copied


def upgraded(service: str, folder: Path) -> Config:
    """Make a database at the newest version, and what Alembic must know to do more with it."""
    migration.upgrade(service, url_in(folder))
    return migration.configuration(service, url_in(folder))


async def in_a_process(work: str, scripts: Path, url: str) -> tuple[int | None, str]:
    """Let another process do something with changed migrations; give its status, and what it said."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", ALEMBIC, url, str(scripts), work),
        cwd=ROOT,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await asyncio.wait_for(process.communicate(), 20)
    return process.returncode, said.decode()


async def in_a_thread(work: Callable[[], object]) -> None:
    """Do what runs an event loop of its own."""
    await asyncio.to_thread(work)


@BOTH
async def test_the_migrations_make_what_the_models_say(
    service: str, tmp_path: Path
) -> None:
    await in_a_thread(lambda: command.check(upgraded(service, tmp_path)))


@pytest.mark.parametrize("model", [order, notification])
async def test_they_make_the_very_same_tables(
    model: ModuleType, tmp_path: Path
) -> None:
    service = model.__name__.split(".")[1]
    await in_a_thread(lambda: upgraded(service, tmp_path))
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/models.db", service)

    async with database.write() as session:
        for metadata in model.TABLES:
            await (await session.connection()).run_sync(metadata.create_all)
    await database.close()

    assert structure(url_in(tmp_path)) == structure(database.url)


async def test_a_change_of_a_model_without_a_migration_is_noticed(
    tmp_path: Path,
) -> None:
    await in_a_thread(lambda: upgraded("order", tmp_path))
    copied = copy_of_order(tmp_path)
    (copied / "env.py").write_text(A_NEW_TABLE_AND_A_NEW_COLUMN)

    status, said = await in_a_process("command.check(config)", copied, url_in(tmp_path))

    assert status == 1
    assert "AutogenerateDiffsDetected" in said
    assert "'invoice'" in said
    assert "'colour'" in said


@BOTH
async def test_a_second_upgrade_changes_nothing(service: str, tmp_path: Path) -> None:
    await in_a_thread(lambda: upgraded(service, tmp_path))
    first = schema(url_in(tmp_path))

    await in_a_thread(lambda: upgraded(service, tmp_path))

    assert schema(url_in(tmp_path)) == first


@BOTH
async def test_every_migration_can_be_taken_back_and_made_again(
    service: str, tmp_path: Path
) -> None:
    url = url_in(tmp_path)
    await in_a_thread(lambda: upgraded(service, tmp_path))
    first = schema(url)

    await in_a_thread(
        lambda: command.downgrade(migration.configuration(service, url), "base")
    )
    left = {sql.split()[2] for sql in schema(url)}
    await in_a_thread(lambda: command.check(upgraded(service, tmp_path)))

    assert left <= {"alembic_version", "sqlite_sequence(name,seq)"}
    assert schema(url) == first


async def test_the_databases_folder_is_made(tmp_path: Path) -> None:
    await in_a_thread(lambda: upgraded("order", tmp_path / "a" / "b"))

    assert version(url_in(tmp_path / "a" / "b")) == NEWEST


@pytest.mark.parametrize(
    ("end", "status"),
    [
        pytest.param("raise ZeroDivisionError", 1, id="fails"),
        pytest.param("os.kill(os.getpid(), 9)", -9, id="is killed"),
    ],
)
async def test_a_migration_that_breaks_off_leaves_nothing_half_done(
    tmp_path: Path, end: str, status: int
) -> None:
    url = url_in(tmp_path)
    await in_a_thread(lambda: upgraded("order", tmp_path))
    before = schema(url)
    copied = copy_of_order(tmp_path)
    breaks_off(copied, end)

    ended, _ = await in_a_process('command.upgrade(config, "head")', copied, url)

    assert ended == status
    assert (version(url), schema(url)) == (NEWEST, before)
    await in_a_thread(lambda: command.check(upgraded("order", tmp_path)))


def test_who_migrates_waits_for_another_process_that_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migration, "PATIENCE", 0.2)
    url = url_in(tmp_path)

    with Path(f"{sqlite_file(url)}.migration.lock").open("ab") as other:
        assert try_lock(other)
        with pytest.raises(TimeoutError, match="another process has migrated"):
            upgraded("order", tmp_path)

    assert not sqlite_file(url).exists()


async def test_processes_that_start_together_all_find_the_newest_version(
    tmp_path: Path,
) -> None:
    url = url_in(tmp_path)
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", UPGRADE_AS_A_SERVICE_DOES, url),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        for _ in range(2)
    ]

    said = [await each.stdout.readline() for each in processes if each.stdout]
    await asyncio.gather(*(each.communicate(b"go\n") for each in processes))

    assert said == [b"ready\n"] * 2
    assert [each.returncode for each in processes] == [0] * 2
    await in_a_thread(lambda: command.check(upgraded("order", tmp_path)))
