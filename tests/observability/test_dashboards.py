"""The dashboards: files that Grafana imports, whose panels ask for metrics that exist."""

import json
from pathlib import Path

import pytest

from tests.support.promql import DASHBOARDS, asked_for
from toolchain.documents.reference import described

HISTOGRAM = ("_bucket", "_sum", "_count")
OTHERS = {"up", "process_cpu_seconds_total", "process_resident_memory_bytes"}


def test_what_rules_and_dashboards_ask_for_is_measured_somewhere() -> None:
    ours = {
        f"{each.name}{part}"
        for each in described()
        for part in (HISTOGRAM if each.kind == "histogram" else ("",))
    }

    unknown = asked_for() - ours - OTHERS

    # The sidecars' are looked for at real ones: tests/journeys/test_metrics.py.
    assert {each for each in unknown if not each.startswith("dapr_")} == set()


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.name)
def test_a_dashboard_can_be_imported_and_has_no_two_panels_in_one_place(
    file: Path,
) -> None:
    dashboard = json.loads(file.read_text())
    places = [each["gridPos"] for each in dashboard["panels"]]

    cells = [
        (x, y)
        for place in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24
    assert len({each["id"] for each in dashboard["panels"]}) == len(places)
    for panel in dashboard["panels"]:
        if panel["type"] != "row":
            assert panel["datasource"]["uid"] == "${datasource}"
            assert panel["targets"]
