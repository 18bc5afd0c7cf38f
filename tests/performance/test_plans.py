"""No statement, of an order's way or of a loop that looks for work, costs more the more orders there are."""

from pathlib import Path

from tests.performance import letters
from tests.performance.counters import in_virtual_time
from tests.performance.plans import ROWS, fill_both, findings
from tests.support.database import execute, migrated


def test_no_statement_reads_or_sorts_a_table_that_grows(
    each_database: None, tmp_path: Path
) -> None:
    fill_both(tmp_path, ROWS)

    found = findings(tmp_path)

    assert not found, "\n".join(found)


def test_a_statement_that_lacks_its_index_is_found(
    each_database: None, tmp_path: Path
) -> None:
    fill_both(tmp_path, ROWS)
    in_virtual_time(drop_index(tmp_path, "outbox_open"))

    assert any("outbox" in each for each in findings(tmp_path))


async def test_no_list_of_dead_letters_reads_or_sorts_all_of_them(
    each_database: None, tmp_path: Path
) -> None:
    found = await letters.findings(tmp_path, ROWS)

    assert not found, "\n".join(found)


async def drop_index(folder: Path, index: str) -> None:
    """Drop an index of the order service."""
    database = migrated("order", folder)
    await execute(database, f"DROP INDEX {index}")
    await database.close()
