"""Every field of every component is one that it reads: Dapr ignores a misspelt one without a word."""

import shutil
from pathlib import Path

import pytest

from toolchain.doctor import yaml_files
from toolchain.doctor.finding import Severity
from toolchain.doctor.project import read_folder, settings
from toolchain.doctor.rules.all import findings
from toolchain.doctor.yaml_files import Document

ROOT = Path(__file__).parents[2]
FILES = [
    path
    for path in sorted((ROOT / "components").rglob("*.yaml"))
    if "subscription" not in path.name
]


def documents(path: Path) -> list[Document]:
    """Return the components of a file."""
    return [
        each for each in yaml_files.read(path).documents if each.kind == "Component"
    ]


def named(path: Path) -> str:
    """Return a file's name for a test."""
    return str(path.relative_to(ROOT / "components"))


def found(folder: Path, *, at_least: Severity = Severity.WARNING) -> list[str]:
    """Return what doctor finds in a folder."""
    return [
        f"{each.rule.id}: {each.problem.message}"
        for each in findings(read_folder(folder))
        if each.rule.severity >= at_least
    ]


def changed(path: Path, folder: Path, field: str, /, **facts: str) -> list[str]:
    """Return what is wrong with a component in which a field's name or value is another."""
    copy = folder / path.name
    shutil.copy(path, copy)
    (component,) = documents(copy)
    lines = path.read_text().splitlines(keepends=True)
    at = next(i for i, each in enumerate(lines) if each.strip() == f"- name: {field}")
    if "name" in facts:
        lines[at] = lines[at].replace(field, facts["name"])
    if "value" in facts:
        lines[at + 1] = f'      value: "{facts["value"]}"\n'
    if not facts:
        del lines[at : at + 2]
    assert settings(component)
    copy.write_text("".join(lines))
    return found(folder)


@pytest.mark.parametrize("folder", sorted({path.parent for path in FILES}), ids=named)
def test_a_component_has_only_fields_that_it_reads_with_values_that_fit(
    folder: Path,
) -> None:
    # The store of secrets is in the folder above.
    alone = "secret-store-missing: `auth.secretStore: secrets` is no component here"
    faults = found(folder, at_least=Severity.INFO)
    assert [each for each in faults if not each.startswith(alone)] == []


def test_the_whole_project_is_as_it_should_be_with_each_broker_and_mail() -> None:
    # Access control is the second lock here, and not relied on alone (configuration/secure).
    others = [each for each in found(ROOT) if "access-control-bypassed" not in each]
    assert others == []


@pytest.mark.parametrize("path", [each for each in FILES if documents(each)], ids=named)
def test_every_field_that_is_misspelt_is_found(path: Path, tmp_path: Path) -> None:
    (component,) = documents(path)
    for name in settings(component):
        assert any(
            f"reads no `{name}s`" in each
            for each in changed(path, tmp_path, name, name=f"{name}s")
        )
        other = name.swapcase()
        assert any(
            f"`{other}` is written {name}" in each
            for each in changed(path, tmp_path, name, name=other)
        )


@pytest.mark.parametrize(
    ("name", "field", "facts", "said"),
    [
        ("kafka", "initialOffset", {"value": "first"}, "may be newest, oldest"),
        ("kafka", "producerRequiredAcks", {"value": "1"}, "may be all, local, none"),
        ("kafka", "authType", {"value": "password"}, "no way to log in is complete"),
        ("kafka", "authType", {}, "no way to log in is complete"),
        ("kafka", "brokers", {}, "`brokers` is missing"),
        ("kafka", "sessionTimeout", {"value": "6 s"}, "should be a duration"),
        (
            "redis",
            "redeliverInterval",
            {"value": "5s"},
            "it is a whole number of milliseconds",
        ),
        ("redis", "redisHost", {}, "`redisHost` is missing"),
        ("rabbitmq", "durable", {"value": "perhaps"}, "should be a bool"),
        ("rabbitmq", "concurrencyMode", {"value": "two"}, "may be parallel, single"),
        ("rabbitmq", "concurrencyMode", {"name": "concurrency"}, "is ignored"),
    ],
)
def test_a_field_that_does_not_fit_is_found(
    name: str, field: str, facts: dict[str, str], said: str, tmp_path: Path
) -> None:
    wrong = changed(
        ROOT / "components" / name / "pubsub.yaml", tmp_path, field, **facts
    )

    assert [each for each in wrong if said in each], wrong
