"""Every field of every component is one that it reads: Dapr ignores a misspelt one without a word."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.components import field_tables
from tests.components.field_tables import wrong_in, wrong_in_tuning

ROOT = Path(__file__).parents[2]
COMPONENTS = [
    path
    for path in sorted((ROOT / "components").rglob("*.yaml"))
    if yaml.safe_load(path.read_text())["kind"] == "Component"
]
TUNINGS = sorted((ROOT / "components").rglob("subscription.yaml"))
SOURCES = field_tables.module(os.environ)
with_the_module = pytest.mark.skipif(
    not SOURCES.exists(),
    reason=f"components-contrib {field_tables.pinned()} is not on this machine: daprd was not built here",
)
TYPES = field_tables.types()


def named(path: Path) -> str:
    """Return a file's name for a test."""
    return str(path.relative_to(ROOT))


def read(name: str) -> dict[str, Any]:
    """Read a component."""
    component: dict[str, Any] = yaml.safe_load((ROOT / "components" / name).read_text())
    return component


def changed(path: str, field: str, /, **facts: str) -> list[str]:
    """List what is wrong with a component in which a field is changed, or removed where no name is given."""
    component = read(path)
    (item,) = [each for each in component["spec"]["metadata"] if each["name"] == field]
    item.update(facts)
    if not item["name"]:
        component["spec"]["metadata"].remove(item)
    return list(wrong_in(component))


@pytest.mark.parametrize("path", COMPONENTS, ids=named)
def test_a_component_has_only_fields_that_it_reads_with_values_that_fit(
    path: Path,
) -> None:
    assert list(wrong_in(yaml.safe_load(path.read_text()))) == []


@pytest.mark.parametrize("path", TUNINGS, ids=named)
def test_a_tuning_has_only_fields_that_the_component_reads_of_a_subscription(
    path: Path,
) -> None:
    tuning = yaml.load(path.read_text(), yaml.BaseLoader)["metadata"]  # noqa: S506 - as the service reads it

    assert list(wrong_in_tuning(f"pubsub.{path.parent.name}", tuning or {})) == []


@pytest.mark.parametrize("path", COMPONENTS, ids=named)
def test_every_field_that_is_misspelt_is_found(path: Path) -> None:
    name = str(path.relative_to(ROOT / "components"))
    for each in read(name)["spec"]["metadata"]:
        for misspelt in (each["name"] + "s", each["name"].swapcase()):
            assert f"{misspelt} is not a field that the component reads" in changed(
                name, each["name"], name=misspelt
            )


@pytest.mark.parametrize(
    ("name", "field", "facts", "said"),
    [
        ("kafka/pubsub.yaml", "initialOffset", {"value": "first"}, "may be newest, ol"),
        ("kafka/pubsub.yaml", "producerRequiredAcks", {"value": "1"}, "may be all, l"),
        ("kafka/pubsub.yaml", "authType", {"value": "password"}, "no way to log in"),
        ("kafka/pubsub.yaml", "authType", {"name": ""}, "no way to log in"),
        ("kafka/pubsub.yaml", "brokers", {"name": ""}, "brokers is missing"),
        ("kafka/pubsub.yaml", "sessionTimeout", {"value": "6 s"}, "a duration"),
        ("redis/pubsub.yaml", "redeliverInterval", {"value": "5s"}, "a number"),
        ("redis/pubsub.yaml", "redisHost", {"name": ""}, "redisHost is missing"),
        ("rabbitmq/pubsub.yaml", "durable", {"value": "yes"}, "should be a bool"),
        ("rabbitmq/pubsub.yaml", "concurrencyMode", {"value": "two"}, "may be para"),
        ("rabbitmq/pubsub.yaml", "concurrencyMode", {"name": "concurrency"}, "not a f"),
    ],
)
def test_a_field_that_does_not_fit_is_found(
    name: str, field: str, facts: dict[str, str], said: str
) -> None:
    wrong = changed(name, field, **facts)

    assert [each for each in wrong if said in each], wrong


def test_another_version_of_a_component_is_found() -> None:
    component = read("redis/pubsub.yaml")
    component["spec"]["version"] = "v2"

    assert list(wrong_in(component)) == ["the version is v1, not v2"]


def test_a_tuning_that_the_component_would_not_read_is_found() -> None:
    assert list(wrong_in_tuning("pubsub.rabbitmq", {"queuetype": "quorum"}))
    assert list(wrong_in_tuning("pubsub.rabbitmq", {"queueType": "mirrored"}))
    assert list(wrong_in_tuning("pubsub.redis", {"queueType": "quorum"}))


def test_the_tables_are_those_of_the_version_that_daprd_is_built_with() -> None:
    for kind in TYPES:
        assert f"@{field_tables.pinned()}/" in field_tables.stored(kind)["source"]


@with_the_module
@pytest.mark.parametrize("kind", TYPES)
def test_a_stored_table_is_what_the_components_own_metadata_says(kind: str) -> None:
    assert field_tables.stored(kind) == field_tables.made_from(SOURCES, kind)


@with_the_module
@pytest.mark.parametrize("kind", TYPES)
def test_each_deviation_stands_in_the_source_line_that_it_names(kind: str) -> None:
    for each in field_tables.deviations(kind):
        path, _, line = each["source"].partition(":")
        text = (SOURCES / path).read_text().splitlines()[int(line) - 1]
        assert each["says"] in text, f"{each['source']}: {text.strip()}"


@pytest.mark.parametrize("kind", TYPES)
def test_each_deviation_is_one(kind: str) -> None:
    table = field_tables.stored(kind)
    fields = table["fields"] | {
        name: facts
        for each in table["profiles"].values()
        for name, facts in each.items()
    }
    for each in field_tables.deviations(kind):
        told = fields.get(each["field"])
        if each["is"] == "missing":
            assert told is None, each
        elif each["is"] in ("unread", "other"):
            assert told is not None, each
            assert each["is"] == "unread" or {**told, **each["as"]} != told, each
