"""Migrations: they make what the models say, once, whoever starts how often, and all or nothing."""

import asyncio
import hashlib
import re
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import MetaData, create_engine

from chassis.database import migrate
from chassis.database.engine import sqlite_file
from chassis.dead_letters import history, runs
from chassis.feed import consumers
from chassis.http import idempotency
from chassis.inbox import attempts, dead_letter, reaction
from chassis.outbox import outbox
from chassis.pages import session
from chassis.reconciler import cursor
from chassis.runtime.lock import try_lock
from services.notification import model as notification
from services.order import model as order
from tests.support.database import migrations

ROOT = Path(__file__).parents[3]
SERVICES = {"order": order.Base.metadata, "notification": notification.Base.metadata}
BOTH = pytest.mark.parametrize("service", SERVICES)
WRITTEN = {
    "0001.2_chassis": "cda06b46b7984002",
    "0001.2_notification": "99df883072a19134",
    "0001.2_order": "311ae58ab538f715",
}
"""What each migration is, by its revision: the beginning of its file's SHA-256."""
VERSIONS = {"alembic_version", "schema_version"}
NEWEST = {"0001.2_chassis", "0001.2_order"}
CHASSIS = (
    *(outbox, consumers, reaction, dead_letter, history, runs),
    *(attempts, cursor, idempotency, session),
)
CHASSIS_TABLES = [each.metadata for each in CHASSIS]

BREAKS_OFF = """
import os
import sqlalchemy as sa
from alembic import op
revision, down_revision, branch_labels, depends_on = "9999", "0001.2_order", None, None
def upgrade():
    op.create_table("invoice", sa.Column("id", sa.Integer, primary_key=True))
    op.add_column("orders", sa.Column("colour", sa.String(20)))
    op.execute("INSERT INTO orders (id, customer_name, name_key, created_at, created_event, colour) "
               "VALUES ('0198c0de-0000-7000-8000-000000000001', 'Jane', 'jane', '2026-01-31', 'x', 'red')")
    {end}
"""
UPGRADE = """
import sys
from pathlib import Path
from chassis.database import migrate
print("ready", flush=True)
sys.stdin.readline()
migrate.upgrade(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
"""


def breaks_off(copied: Path, end: str) -> None:
    """Add a migration that ends before it is done."""
    text = BREAKS_OFF.format(end=end)
    (copied / "versions" / "9999_breaks_off.py").write_text(text)


def url_in(folder: Path) -> str:
    """Return the URL of a database in this folder."""
    return f"sqlite:///{folder}/test.db"


def ask(url: str, query: str) -> list[tuple[object, ...]]:
    """Return what a query finds, with nothing of ours between."""
    with closing(sqlite3.connect(sqlite_file(url))) as connection:
        return list(connection.execute(query))


def schema(url: str) -> set[str]:
    """Return the statements that would make this database."""
    found = ask(url, "SELECT sql FROM sqlite_master WHERE sql NOT NULL")
    return {str(sql) for (sql,) in found}


def structure(url: str) -> set[tuple[object, ...]]:
    """Return every column and every index, with what Alembic's own check does not compare on SQLite."""
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
    return {each for each in found if each[0] not in VERSIONS}


def versions(url: str) -> set[object]:
    """Return the versions that this database is at, one a branch."""
    return {number for (number,) in ask(url, "SELECT version_num FROM schema_version")}


def copy_of_order(folder: Path) -> Path:
    """Copy the order service's migrations, so that a test can change them."""
    copied = folder / "migrations"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(migrations("order"), copied, ignore=ignored)
    return copied


def tables(service: str) -> list[MetaData]:
    """Return the tables that a service's database should have."""
    return [*CHASSIS_TABLES, SERVICES[service]]


def config(service: str, url: str) -> Config:
    """Return what Alembic needs to compare a service's database with its models."""
    made = migrate.configuration(service, url, migrations(service))
    made.attributes["tables"] = tables(service)
    return made


def upgraded(service: str, folder: Path) -> Config:
    """Make a database at the newest version; return what Alembic needs to do more with it."""
    migrate.upgrade(service, url_in(folder), migrations(service))
    return config(service, url_in(folder))


async def upgrade_together(*starts: tuple[str, str, Path]) -> list[tuple[int, str]]:
    """Upgrade in processes that start at the same moment; return their statuses and errors.

    Each start is a service, the URL of its database, and the folder of its migrations.
    """
    pipe = asyncio.subprocess.PIPE
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", UPGRADE, *map(str, start)),
            cwd=ROOT,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
        )
        for start in starts
    ]
    for each in processes:
        assert each.stdout
        assert await each.stdout.readline() == b"ready\n"
    ended = await asyncio.gather(*(each.communicate(b"go\n") for each in processes))
    return [
        (each.returncode or 0, said.decode())
        for each, (_, said) in zip(processes, ended, strict=True)
    ]


@BOTH
def test_the_migrations_make_what_the_models_say(service: str, tmp_path: Path) -> None:
    command.check(upgraded(service, tmp_path))


@BOTH
def test_they_make_the_very_same_tables(service: str, tmp_path: Path) -> None:
    upgraded(service, tmp_path)
    models = f"sqlite:///{tmp_path}/models.db"

    engine = create_engine(models)
    for each in tables(service):
        each.create_all(engine)
    engine.dispose()

    assert structure(url_in(tmp_path)) == structure(models)


def test_a_change_of_a_model_without_a_migration_is_noticed(tmp_path: Path) -> None:
    changed = upgraded("order", tmp_path)
    models = MetaData()
    for base in (notification.Base, order.Base):
        for each in base.metadata.sorted_tables:
            each.to_metadata(models)
    models.tables["orders"].columns["customer_name"].nullable = True
    changed.attributes["tables"] = [models, *CHASSIS_TABLES]

    with pytest.raises(Exception, match="New upgrade operations detected") as found:
        command.check(changed)

    assert "'notification'" in str(found.value)
    assert "'customer_name'" in str(found.value)


@BOTH
def test_a_second_upgrade_changes_nothing(service: str, tmp_path: Path) -> None:
    upgraded(service, tmp_path)
    first = schema(url_in(tmp_path))

    upgraded(service, tmp_path)

    assert schema(url_in(tmp_path)) == first


@BOTH
def test_every_migration_can_be_undone_and_made_again(
    service: str, tmp_path: Path
) -> None:
    url = url_in(tmp_path)
    upgraded(service, tmp_path)
    first = schema(url)

    command.downgrade(config(service, url), "base")
    left = {sql.split()[2] for sql in schema(url)}
    command.check(upgraded(service, tmp_path))

    assert left <= {*VERSIONS, "sqlite_sequence(name,seq)"}
    assert schema(url) == first


def test_a_service_without_tables_has_those_of_the_chassis(tmp_path: Path) -> None:
    migrate.upgrade("stateless", url_in(tmp_path))

    assert versions(url_in(tmp_path)) == {"0001.2_chassis"}
    assert ask(url_in(tmp_path), "SELECT service FROM feed") == [("stateless",)]


def test_the_databases_folder_is_made(tmp_path: Path) -> None:
    upgraded("order", tmp_path / "50%" / "b")

    assert versions(url_in(tmp_path / "50%" / "b")) == NEWEST


def test_migrations_may_be_in_any_folder(tmp_path: Path) -> None:
    folder = tmp_path / "50% of it"
    folder.mkdir()

    migrate.upgrade("order", url_in(tmp_path), copy_of_order(folder))

    assert versions(url_in(tmp_path)) == NEWEST


def test_a_database_of_another_service_is_refused_before_anything_is_made(
    tmp_path: Path,
) -> None:
    upgraded("order", tmp_path)
    before = schema(url_in(tmp_path))

    with pytest.raises(migrate.WrongDatabase, match="belongs to the service order"):
        upgraded("notification", tmp_path)

    assert (schema(url_in(tmp_path)), versions(url_in(tmp_path))) == (before, NEWEST)


@pytest.mark.parametrize("version", ["0002_order", "0007"])
def test_a_database_of_a_newer_release_is_refused_and_left_as_it_is(
    tmp_path: Path, version: str
) -> None:
    upgraded("order", tmp_path)
    with sqlite3.connect(sqlite_file(url_in(tmp_path))) as connection:
        connection.execute(
            "UPDATE alembic_version SET version_num = ? WHERE version_num = '0001.2_order'",
            [version],
        )
    before = schema(url_in(tmp_path))

    with pytest.raises(
        migrate.WrongDatabase, match=f"at version {version}, which .* not know"
    ):
        upgraded("order", tmp_path)

    assert schema(url_in(tmp_path)) == before


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite:///{folder}/test.db?mode=ro", "takes no options"),
        ("postgresql://x@127.0.0.1:1/x?colour=red", 'invalid connection option "colour"'),
        ("postgresql://x@127.0.0.1:1/x?sslmode=red", 'invalid sslmode value: "red"'),
        ("postgresql://x@127.0.0.1:1/x?keepalives=red", 'invalid integer value "red"'),
        ("postgresql://x@127.0.0.1:99999/x", "invalid port number"),
    ],
)  # fmt: skip
def test_an_option_of_a_url_that_nobody_knows_is_said_and_not_waited_for(
    tmp_path: Path, url: str, said: str
) -> None:
    with pytest.raises(migrate.WrongDatabase, match=said):
        migrate.upgrade("order", url.format(folder=tmp_path))

    assert not (tmp_path / "test.db").exists()


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
    upgraded("order", tmp_path)
    before = schema(url)
    copied = copy_of_order(tmp_path)
    breaks_off(copied, end)

    ((ended, said),) = await upgrade_together(("order", url, copied))

    assert ended == status, said
    assert (versions(url), schema(url)) == (NEWEST, before)
    command.check(upgraded("order", tmp_path))


def test_a_migration_waits_for_another_process_and_gives_up_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "MAX_WAIT", 0.2)
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
    start = ("order", url, migrations("order"))

    ended = await upgrade_together(start, start)

    assert [status for status, _ in ended] == [0, 0], ended
    assert ask(url, "SELECT count(*) FROM feed") == [(1,)]
    command.check(config("order", url))


async def test_services_that_start_together_on_one_database_make_no_half_schema(
    tmp_path: Path,
) -> None:
    url = url_in(tmp_path)

    ended = await upgrade_together(
        *((service, url, migrations(service)) for service in SERVICES)
    )

    assert sorted(status for status, _ in ended) == [0, 1]
    ((owner,),) = ask(url, "SELECT service FROM feed")
    assert versions(url) == {"0001.2_chassis", f"0001.2_{owner}"}


def test_a_migration_that_is_changed_has_a_new_revision() -> None:
    """A database that has it as it was is refused then, where queries would fail one by one."""
    folders = ("chassis/database", "services/notification", "services/order")
    files = [
        each
        for folder in folders
        for each in (ROOT / folder / "migrations/versions").glob("[0-9]*.py")
    ]

    found = {}
    for each in files:
        (line,) = re.findall(r'^revision = "(.+)"$', each.read_text(), re.MULTILINE)
        found[line] = hashlib.sha256(each.read_bytes()).hexdigest()[:16]

    assert found == WRITTEN
