"""The table of what components read is that of the daprd in use, and is corrected only where it is wrong."""

import os

import pytest

from toolchain.doctor.metadata import generate, table

SOURCES = [
    generate.folder(each, os.environ)
    for each in (generate.COMPONENTS, generate.RUNTIME)
]
with_the_modules = pytest.mark.skipif(
    not all(each.exists() for each in SOURCES),
    reason="the Go modules are not here: daprd was not built here",
)
DEVIATIONS = [
    (kind, each) for kind, listed in table.deviations().items() for each in listed
]


def test_the_table_is_that_of_the_version_that_daprd_is_built_with() -> None:
    assert f"@{generate.pinned(generate.COMPONENTS)}," in table.stored()["source"]
    assert table.stored()["license"] == "Apache-2.0"


@with_the_modules
def test_the_stored_table_is_what_the_components_own_metadata_says() -> None:
    assert table.STORED.read_text(encoding="utf-8") == generate.text(
        generate.made_from(*SOURCES)
    )


@with_the_modules
@pytest.mark.parametrize(("_kind", "each"), DEVIATIONS)
def test_each_deviation_stands_in_the_source_line_that_it_names(
    _kind: str, each: dict[str, str]
) -> None:
    path, _, line = each["source"].partition(":")
    text = (SOURCES[0] / path).read_text().splitlines()[int(line) - 1]

    assert each["says"] in text


@pytest.mark.parametrize(("kind", "each"), DEVIATIONS)
def test_each_deviation_is_one(kind: str, each: dict[str, str]) -> None:
    entry = table.stored()["types"][kind]
    told = dict(entry["fields"])
    for profile in entry.get("profiles", {}).values():
        told.update(profile)

    if each["is"] == "missing":
        assert each["field"] not in told
    elif each["is"] in ("unread", "other"):
        assert each["field"] in told


@pytest.mark.parametrize(
    "told",
    [
        {"name": "a", "type": "number"},
        {"name": "a", "required": True, "sensitive": True},
        {"name": "a", "deprecated": True, "allowedValues": ["b", '"c d"']},
    ],
)
def test_a_field_is_read_as_it_was_packed(told: dict[str, object]) -> None:
    field = table.unpacked(table.packed(told))

    assert field.type == told.get("type", "string")
    assert field.is_required == told.get("required", False)
    assert field.is_sensitive == told.get("sensitive", False)
    assert field.is_deprecated == told.get("deprecated", False)
    assert field.allowed == (("b", "c d") if "allowedValues" in told else ())


def test_a_way_to_log_in_may_use_every_value_that_one_of_them_allows() -> None:
    kafka = table.component("pubsub.kafka")

    assert kafka is not None
    assert {"none", "password", "oidc"} <= {*kafka.known()["authType"].allowed}
