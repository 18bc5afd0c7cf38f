"""The dashboards: files that Grafana imports, whose panels ask for metrics that exist."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.observability.test_rules import promtool
from tests.support.promql import DASHBOARDS, asked_for
from toolchain.documents.reference import described

TYPES = {"row", "stat", "timeseries"}
"""Kinds of panels that Grafana has itself, since version 8, without a plugin."""
UNITS = {"bytes", "ms", "ops", "percentunit", "reqps", "s", "short"}
"""The units in use, by the names that Grafana has for them."""
OF_GRAFANA = {"$__rate_interval": "5m", "$__interval": "1m", "$__range": "1h"}
"""What Grafana itself puts into a query."""
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


def panels(file: Path) -> list[dict[str, Any]]:
    """Return the panels of a dashboard that ask for something."""
    found = json.loads(file.read_text())["panels"]
    return [each for each in found if each["type"] != "row"]


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.name)
def test_a_dashboard_has_what_grafana_wants_of_one(file: Path) -> None:
    dashboard = json.loads(file.read_text())
    variables = dashboard["templating"]["list"]

    assert re.fullmatch(r"[\w-]{1,40}", dashboard["uid"])
    assert "id" not in dashboard, "a number of its own would replace another's"
    assert dashboard["schemaVersion"] >= 36
    assert [(each["type"], each["query"]) for each in variables] == [
        ("datasource", "prometheus")
    ]
    for panel in dashboard["panels"]:
        assert panel["type"] in TYPES
        assert all(panel["gridPos"][each] > 0 for each in "wh")


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.name)
def test_a_panel_has_what_grafana_wants_of_one(file: Path) -> None:
    for panel in panels(file):
        title, targets = panel["title"], panel["targets"]
        assert panel["datasource"]["type"] == "prometheus", title
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, title
        letters = [each["refId"] for each in targets]
        assert len(set(letters)) == len(letters), title
        for each in targets:
            shown = re.findall(r"\{\{(\w+)\}\}", each.get("legendFormat", ""))
            kept = re.findall(r"\bby \(([^)]*)\)", each["expr"])
            dropped = [name for name in shown if kept and name not in str(kept)]
            assert dropped == [], f"{title}: its legend names what its query drops"


def test_prometheus_takes_every_query_of_the_dashboards(tmp_path: Path) -> None:
    queries = [
        t["expr"] for file in DASHBOARDS for p in panels(file) for t in p["targets"]
    ]
    for name, value in OF_GRAFANA.items():
        queries = [each.replace(name, value) for each in queries]
    rules = [
        {"record": f"query:{number}", "expr": each}
        for number, each in enumerate(queries)
    ]
    file = tmp_path / "queries.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))

    assert not any("$" in each for each in queries)
    promtool("check", "rules", str(file))
