"""The alert rules: each fires on its trouble and on no other, says what to do, and has a fault that proves it."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.promql import FOLDER, asked_for, names, rules, sections
from toolchain.runfile import ROOT
from verification.alerts.faults import FAULTS
from verification.alerts.prometheus import seconds

ALERTS = {rule["alert"]: rule for rule in rules() if "alert" in rule}
RUNBOOKS = ROOT / "docs" / "runbooks.md"
TESTS = sorted((ROOT / "tests" / "observability").glob("*.yaml"))


def promtool(*arguments: str) -> None:
    """Run promtool, which comes with Prometheus; fail with what it prints."""
    if shutil.which("promtool") is None:
        pytest.fail("Prometheus is not installed here: make ready FOR=--for-tests")
    ran = subprocess.run(
        ["promtool", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_prometheus_takes_the_configuration_and_the_rules() -> None:
    promtool("check", "config", str(FOLDER / "prometheus.yaml"))


@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.name)
def test_each_rule_fires_on_its_trouble_alone(file: Path) -> None:
    promtool("test", "rules", str(file))


def test_every_rule_is_fired_by_a_test_of_promtool() -> None:
    fired = {
        name
        for file in TESTS
        for name in re.findall(r'alertname="(\w+)"', file.read_text())
    }

    assert fired == ALERTS.keys()


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_how_urgent_it_is_and_what_to_do(name: str) -> None:
    rule = ALERTS[name]
    notes = rule["annotations"]

    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert notes["summary"].count(".") >= 2 or notes["summary"].count(". ") >= 1
    assert notes["runbook_url"] == f"docs/runbooks.md#{name.lower()}"
    assert name.lower() in sections(RUNBOOKS)
    assert seconds(notes["fires_within"]) > seconds(rule["for"])


def test_every_section_of_the_runbooks_is_an_alerts() -> None:
    assert sections(RUNBOOKS) - {"runbooks", "measured"} == {
        each.lower() for each in ALERTS
    }


def test_every_rule_has_a_fault_that_fires_it() -> None:
    fired = [rule for fault in FAULTS for rule in fault.fires]

    assert sorted(fired) == sorted(ALERTS)


def test_the_runbooks_have_what_make_alerts_measured_of_every_rule() -> None:
    rows = re.findall(
        r"^\| (\w+) \| .* \| (\d+) s \| (\d+) s \|$", RUNBOOKS.read_text(), re.MULTILINE
    )

    assert sorted(name for name, _, _ in rows) == sorted(ALERTS)
    for name, stated, measured in rows:
        assert int(stated) == seconds(ALERTS[name]["annotations"]["fires_within"])
        assert int(measured) <= int(stated)


def test_the_names_in_an_expression_are_found() -> None:
    expression = 'sum by (a, b) (rate(x_total{c="d"}[5m])) / on (slo) 2.5 * y:z > 1 and time() - w == 0'

    assert names(expression) == {"x_total", "y:z", "w"}
    assert "outbox_oldest_age_seconds" in asked_for()
