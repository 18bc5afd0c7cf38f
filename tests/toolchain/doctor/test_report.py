"""What doctor prints: for people, for programs, for code scanners; and how it ends."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from toolchain import checkup, runfile
from toolchain.doctor import __main__ as doctor
from toolchain.doctor import page
from toolchain.doctor.command import CLEAN, COULD_NOT_RUN, FOUND
from toolchain.doctor.examples import all_examples
from toolchain.doctor.finding import Rule
from toolchain.doctor.rules.all import RULES

RELATIVE = {"type": "string", "pattern": r"^[^/\\ ][^\\ ]*$"}
TEXT = {
    "type": "object",
    "required": ["text"],
    "properties": {"text": {"type": "string", "minLength": 1}},
}
LEVEL = {"enum": ["error", "warning", "note"]}
SARIF: dict[str, Any] = {
    "type": "object",
    "required": ["version", "runs", "$schema"],
    "properties": {
        "version": {"const": "2.1.0"},
        "runs": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["tool", "results"],
                "properties": {
                    "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                    "tool": {
                        "type": "object",
                        "required": ["driver"],
                        "properties": {
                            "driver": {
                                "type": "object",
                                "required": ["name", "rules"],
                                "properties": {
                                    "rules": {
                                        "type": "array",
                                        "uniqueItems": True,
                                        "items": {
                                            "type": "object",
                                            "required": [
                                                "id",
                                                "shortDescription",
                                                "defaultConfiguration",
                                            ],
                                            "properties": {
                                                "shortDescription": TEXT,
                                                "fullDescription": TEXT,
                                                "help": TEXT,
                                                "defaultConfiguration": {
                                                    "properties": {"level": LEVEL}
                                                },
                                            },
                                        },
                                    }
                                },
                            }
                        },
                    },
                    "results": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["ruleId", "level", "message", "locations"],
                            "properties": {
                                "level": LEVEL,
                                "message": TEXT,
                                "locations": {
                                    "type": "array",
                                    "minItems": 1,
                                    "items": {
                                        "required": ["physicalLocation"],
                                        "properties": {
                                            "physicalLocation": {
                                                "required": ["artifactLocation"],
                                                "properties": {
                                                    "artifactLocation": {
                                                        "properties": {"uri": RELATIVE}
                                                    },
                                                    "region": {
                                                        "properties": {
                                                            "startLine": {
                                                                "type": "integer",
                                                                "minimum": 1,
                                                            }
                                                        }
                                                    },
                                                },
                                            }
                                        },
                                    },
                                },
                            },
                        },
                    },
                },
            },
        },
    },
}
"""The shape of SARIF 2.1.0, as far as it is used."""


def project(folder: Path, rule: str, *, bad: bool = True) -> str:
    """Write an example of a rule; return the folder."""
    example = all_examples()[rule]
    example.write(example.bad if bad else example.good, folder)
    return str(folder)


def test_people_read_what_where_why_and_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = project(tmp_path, "kafka-failed-passed-over")

    assert doctor.main([folder]) == FOUND

    shown = capsys.readouterr().out
    assert (
        "error    A failed message that Kafka's consumer passes over  kafka-failed-passed-over"
        in shown
    )
    assert "components/example.yaml:10\n" in shown
    assert "`consumeRetryEnabled` is off: what the app refuses is passed over" in shown
    assert (
        "Without `consumeRetryEnabled` a message that the app refuses is logged"
        in shown
    )
    assert '→ Set it to "true"' in shown
    assert "1 error" in shown
    assert max(map(len, shown.splitlines())) <= 100


def test_programs_read_all_of_it_as_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    doctor.main(
        [project(tmp_path, "kafka-failed-passed-over"), "--json", "--daprd", "1.19.1"]
    )

    told = json.loads(capsys.readouterr().out)
    (found,) = [each for each in told["findings"] if each["severity"] == "error"]

    assert told["daprd"] == "1.19.1"
    assert found["rule"] == "kafka-failed-passed-over"
    assert (found["file"], found["line"]) == ("components/example.yaml", 10)
    assert found["field"] == "spec.metadata[2].value"
    assert found["page"] == "docs/doctor.md#kafka-failed-passed-over"
    assert found["why"]
    assert found["remedy"]


@pytest.mark.parametrize(
    "rule", ["kafka-failed-passed-over", "yaml-malformed", "run-file-ports-collide"]
)
def test_code_scanners_read_it_as_sarif(
    rule: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = doctor.main([project(tmp_path / "a folder", rule), "--sarif"])

    told = json.loads(capsys.readouterr().out)
    jsonschema.Draft202012Validator(SARIF).validate(told)
    (run,) = told["runs"]
    assert {each["ruleId"] for each in run["results"]} <= {
        each["id"] for each in run["tool"]["driver"]["rules"]
    }
    assert rule in {each["ruleId"] for each in run["results"]}
    assert status == FOUND


def test_warnings_alone_end_well(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert doctor.main([project(tmp_path, "kafka-starts-at-the-end")]) == CLEAN
    assert "1 warning" in capsys.readouterr().out


def test_a_version_that_is_none_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        doctor.main([str(tmp_path), "--daprd", "newest"])

    assert ended.value.code == COULD_NOT_RUN
    assert "newest is no version such as 1.18.5" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["empty", "absent"])
def test_a_folder_without_anything_of_daprs_could_not_be_examined(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/compose.yaml").write_text("services: {}  # dapr.io/v1alpha1\n")

    assert doctor.main([str(tmp_path / name)]) == COULD_NOT_RUN
    assert "Name the project's folder." in capsys.readouterr().out


def test_files_that_only_mention_dapr_are_not_judged(tmp_path: Path) -> None:
    folder = project(tmp_path, "yaml-malformed", bad=False)
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy/app.yaml").write_text(
        'apiVersion: apps/v1\nkind: Deployment\nmetadata: {annotations: {dapr.io/app-id: "x"}}\n---\n'
        "apiVersion: dapr.io/v1alpha1\nkind: Subscription\nmetadata: {name: a}\n"
        "spec: {pubsubname: elsewhere, topic: a, route: /a, deadLetterTopic: b}\n"
    )
    (tmp_path / "deploy/template.yaml").write_text(
        "apiVersion: dapr.io/v1alpha1\n{{- if .Values.x }}\nkind: [\n"
    )
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules/broken.yaml").write_text(
        "apiVersion: dapr.io/v1alpha1\nkind: [\n"
    )

    assert doctor.main([folder]) == CLEAN


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Examine ports of our own: the kernel may take a usual one, 50002, for somebody's connection."""
    offset = runfile.free_offset()
    monkeypatch.setenv("OFFSET", str(offset))
    yield
    shutil.rmtree(runfile.LOCAL / str(offset), ignore_errors=True)


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("broker", ["rabbitmq", "redis", "kafka"])
def test_this_project_is_in_order_with_each_broker(
    broker: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BROKER", broker)

    status = checkup.main(["--json"])

    told = json.loads(capsys.readouterr().out)
    assert [
        each for each in told["findings"] if each["rule"] != "daprd-flaw-known"
    ] == []
    assert status == CLEAN


def test_a_broker_that_is_none_could_not_be_examined(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BROKER", "rabitmq")

    assert checkup.main([]) == COULD_NOT_RUN
    assert "BROKER=rabitmq cannot be used" in capsys.readouterr().out


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_the_page_has_a_heading_for_each_rule(rule: Rule) -> None:
    assert f"\n### {rule.id}\n" in page.text()
