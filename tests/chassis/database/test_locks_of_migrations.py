"""What a migration must not do while services run: keep them out for long, or take away what their code needs.

The statements of each migration are looked through as PostgreSQL gets them, but those of a branch's first one.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, event

from chassis.database import migrate
from tests.chassis.database.test_online_migrations import (
    EXPAND,
    INDEX,
    OURS,
    Adds,
    adds,
)
from tests.support.database import ROOT, migrations
from tests.support.postgresql import Databases

__all__ = ["adds"]
SERVICES = sorted(each.parent.name for each in ROOT.glob("services/*/migrations"))
KEEPS_OUT = {
    r"CREATE (UNIQUE )?INDEX (?!CONCURRENTLY|\w+ ON ONLY)": "build it with create_index",
    r"ADD (CONSTRAINT|CHECK|FOREIGN|UNIQUE|PRIMARY)(?!.* NOT VALID)": "looks through all rows",
    r"ALTER COLUMN \w+ (SET DATA )?TYPE": "writes all rows again",
    r"SET NOT NULL": "looks through all rows",
    r"^(UPDATE|DELETE) ": "holds what it changes: let the code do it, a few rows at a time",
}
"""What keeps out whoever uses the table, however it is meant."""
TAKES_AWAY = {
    r"DROP (TABLE|COLUMN)|RENAME": "an older release still uses it",
    r"ADD COLUMN (?!.*DEFAULT).*NOT NULL": "an older release leaves it out",
}
"""What an older release cannot work with: for that, `compatible_from` has to be newer than it was."""
TABLE = r"(?:TABLE(?: IF EXISTS)?|\bON|UPDATE|FROM)(?: ONLY)? \"?(\w+)"


@pytest.fixture
def url(databases: Databases) -> Iterator[str]:
    """Make an empty database."""
    with databases.fresh() as made:
        yield made


def findings(url: str, service: str, folder: Path) -> list[str]:
    """Migrate a database; return what no service should have met that runs meanwhile."""
    script = ScriptDirectory.from_config(migrate.configuration(service, url, folder))
    found = []
    for revision, statements in _migrated(service, url, folder).items():
        this = script.get_revision(revision)
        before = this.down_revision
        if isinstance(before, str):
            suits = [_compatible_from(script, each) for each in (before, revision)]
            rules = KEEPS_OUT | (TAKES_AWAY if suits[0] == suits[1] else {})
            found += [f"{revision}: {each}" for each in _broken(statements, rules)]
    return found


def _compatible_from(script: ScriptDirectory, revision: str) -> str:
    found = script.get_revision(revision)
    return str(getattr(found.module, "compatible_from", revision))


def _migrated(service: str, url: str, folder: Path) -> Mapping[str, list[str]]:
    by_revision = defaultdict[str, list[str]](list)
    waiting: list[str] = []

    def note(*arguments: object) -> None:
        statement = " ".join(str(arguments[2]).split())
        # Alembic notes each revision when it is done.
        if at := re.search(r"(?:INTO|UPDATE) schema_version .*?'([^']+)'", statement):
            by_revision[at[1]] += waiting
            waiting.clear()
        elif not re.search(r"(schema|alembic)_version", statement):
            waiting.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        migrate.upgrade(service, url, folder)
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    return by_revision


def _broken(statements: Sequence[str], rules: Mapping[str, str]) -> Iterator[str]:
    new = {
        at[1] for each in statements if (at := re.match(r'CREATE TABLE "?(\w+)', each))
    }
    for each in statements:
        table = re.search(TABLE, each)
        for rule, why in rules.items():
            if re.search(rule, each) and not (table and table[1] in new):
                yield f"{each}: {why}"


@pytest.mark.parametrize("service", SERVICES)
def test_every_migration_suits_a_service_that_runs_meanwhile(
    url: str, service: str
) -> None:
    assert findings(url, service, migrations(service)) == []


@pytest.mark.parametrize(
    "does",
    [
        EXPAND,
        INDEX.replace("colour", "customer_name"),
        "op.add_column('orders', sa.Column('size', sa.Integer, nullable=False, server_default='1'))",
        "op.create_table('new', sa.Column('id', sa.Integer, primary_key=True), sa.Column('of', sa.Integer));"
        " op.create_index('new_of', 'new', ['of'])",
    ],
    ids=["column", "index", "default", "table"],
)
def test_what_suits_it_is_not_found(url: str, adds: Adds, does: str) -> None:
    assert findings(url, "order", adds("0002_order", does, OURS)) == []


@pytest.mark.parametrize(
    ("does", "why"),
    [
        ("op.create_index('of_name', 'orders', ['customer_name'])", "create_index"),
        ("op.create_check_constraint('named', 'orders', \"id IS NOT NULL\")", "all rows"),
        ("op.alter_column('orders', 'customer_name', type_=sa.Text())", "all rows again"),
        ("op.alter_column('orders', 'customer_email', nullable=False)", "all rows"),
        ("op.execute(\"UPDATE orders SET customer_name = 'x'\")", "a few rows at a time"),
        ("op.drop_column('orders', 'customer_name')", "still uses it"),
        ("op.drop_table('erasure')", "still uses it"),
        ("op.rename_table('orders', 'order_')", "still uses it"),
        ("op.alter_column('orders', 'customer_name', new_column_name='x')", "still uses it"),
        ("op.add_column('orders', sa.Column('size', sa.Integer, nullable=False))", "leaves it out"),
    ],
)  # fmt: skip
def test_what_keeps_out_or_takes_away_is_found(
    url: str, adds: Adds, does: str, why: str
) -> None:
    (found, *_) = findings(url, "order", adds("0002_order", does, OURS))

    assert found.startswith("0002_order: ")
    assert found.endswith(why)


def test_what_is_taken_away_when_no_older_release_is_meant_to_work_is_not_found(
    url: str, adds: Adds
) -> None:
    adds("0002_order", EXPAND, OURS)

    folder = adds("0003_order", "op.drop_column('orders', 'name_key')", "0002_order")

    assert findings(url, "order", folder) == []
