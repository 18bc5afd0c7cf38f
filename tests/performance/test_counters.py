"""What an order costs in statements, commits, calls and bytes is as `counters.yaml` says."""

from pathlib import Path

import pytest

from tests.performance.counters import count_all, differences, on, read_baseline

RENEW = "if that is meant: .venv/bin/python -m tests.performance renews the baseline"


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_an_order_costs_what_the_baseline_says(
    database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shared = database == "postgresql"
    databases = request.getfixturevalue("databases") if shared else None
    with on(database, databases):
        found = count_all(tmp_path)

    changed = [*differences(read_baseline()[database], found)]
    assert not changed, "\n".join([*changed, RENEW])
