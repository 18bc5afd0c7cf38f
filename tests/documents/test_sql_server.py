"""What a port to SQL Server needs, as docs/azure.md lists it: found by its dialect, in what both services execute.

No SQL Server was asked: what compiles may still fail there.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from importlib import import_module
from io import StringIO
from pathlib import Path

import pytest
from sqlalchemy import Engine, Index, event
from sqlalchemy.dialects import mssql
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import UnsupportedCompilationError
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlalchemy.sql.elements import ClauseElement, TextClause

from services.notification.model import Notification
from services.order.model import Order
from tests.performance.counters import count

DIALECT: Dialect = mssql.dialect()  # type: ignore[no-untyped-call]
PAGE = Path(__file__).parents[2] / "docs" / "azure.md"
LISTED = set(re.findall(r"^\| `([^`|]+)` \| SQL Server", PAGE.read_text(), re.M))
KINDS: dict[str, Callable[[str, str], bool]] = {
    "FOR UPDATE SKIP LOCKED": lambda here, there: "SKIP LOCKED" in here,
    "(a, b) > (c, d)": lambda here, there: (
        re.search(r"\w, [\w.]+\) (IN|<=?|>=?) \(", there) is not None
    ),
    "json_each": lambda here, there: "json_each(" in there,
    "pg_…": lambda here, there: "pg_" in there,
}


@pytest.fixture
def executed() -> Iterator[dict[str, ClauseElement]]:
    """Return the statements that are executed meanwhile, by their text here."""
    found: dict[str, ClauseElement] = {}

    def note(connection: object, clause: object, *_: object) -> None:
        dialect = getattr(connection, "dialect", None)
        if isinstance(clause, ClauseElement) and isinstance(dialect, Dialect):
            text = str(clause.compile(dialect=dialect))
            # The tests make their databases with the rest.
            if "pg_catalog" not in text and "DATABASE" not in text:
                found[text] = clause

    event.listen(Engine, "before_execute", note)
    yield found
    event.remove(Engine, "before_execute", note)


def obstacles(here: str, statement: ClauseElement) -> set[str]:
    """Return what SQL Server does not take of a statement."""
    if isinstance(statement, TextClause):
        return {"pg_…"} if re.search(r"pg_|::|SET LOCAL", here) else set()
    try:
        there = str(statement.compile(dialect=DIALECT))
    except UnsupportedCompilationError:
        return {"ON CONFLICT"} if "ON CONFLICT" in here else {here}
    return {name for name, is_in in KINDS.items() if is_in(here, there)}


def test_what_sql_server_does_not_take_of_an_orders_way_is_what_the_page_lists(
    each_database: None, executed: dict[str, ClauseElement], tmp_path: Path
) -> None:
    with redirect_stdout(StringIO()):
        count(tmp_path / "orders", 3)

    found = set[str]().union(*(obstacles(*each) for each in executed.items()))

    # Without those of the migrations, where another test has made the tables already.
    assert len(executed) > 30
    assert {"ON CONFLICT", "(a, b) > (c, d)"} <= found <= LISTED


def test_each_obstacle_on_the_page_is_one_that_is_looked_for() -> None:
    assert {*KINDS, "ON CONFLICT", "CREATE INDEX … WHERE", "VARCHAR"} == LISTED


@pytest.mark.parametrize("model", [Order, Notification])
def test_every_table_compiles_and_every_partial_index_loses_its_condition(
    model: type[Order] | type[Notification],
) -> None:
    import_module("chassis.service.service")
    tables = [*model.metadata.tables.values()]

    made = [str(CreateTable(each).compile(dialect=DIALECT)) for each in tables]

    assert any("VARCHAR" in each for each in made)
    assert not any("NVARCHAR" in each for each in made)
    partial = [each for table in tables for each in table.indexes if is_partial(each)]
    assert partial
    for each in partial:
        assert "WHERE" not in str(CreateIndex(each).compile(dialect=DIALECT))


def is_partial(index: Index) -> bool:
    """Return whether an index has a condition where these services run."""
    return index.dialect_options["sqlite"]["where"] is not None
