"""What an order costs in statements, commits, calls and bytes is as `counters.yaml` says."""

from pathlib import Path

from tests.performance.counters import count_all, differences, read_baseline
from tests.support.database import url_in

RENEW = "if that is meant: .venv/bin/python -m tests.performance renews the baseline"


def test_an_order_costs_what_the_baseline_says(
    each_database: None, tmp_path: Path
) -> None:
    database = url_in(tmp_path, "order").partition(":")[0]

    found = count_all(tmp_path)

    changed = [*differences(read_baseline()[database], found)]
    assert not changed, "\n".join([*changed, RENEW])
