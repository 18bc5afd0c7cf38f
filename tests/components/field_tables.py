"""What each component reads, from its own metadata.yaml: `python -m tests.components.field_tables` renews it.

The tables are stored in `fields/`, one for each component type, since a machine with a ready daprd has no Go
module to read. Where a component does other than its metadata.yaml says, `deviations.yaml` has it, by hand.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
FIELDS = Path(__file__).parent / "fields"
DEVIATIONS = FIELDS / "deviations.yaml"
MODULE = "github.com/dapr/components-contrib"
PROFILES = ("authenticationProfiles", "builtinAuthenticationProfiles")
VALUES = {
    "bool": re.compile(r"true|false"),
    "number": re.compile(r"-?\d+"),
    "duration": re.compile(r"-?\d+|(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+"),
    "bytesize": re.compile(r"-?\d+([kMG]|[KMG]i)?"),
    "string": re.compile(r"(?s).*"),
}
Table = dict[str, Any]
Fields = dict[str, dict[str, Any]]


def pinned() -> str:
    """The version of components-contrib that the project's daprd is built with."""
    text = (ROOT / "toolchain" / "dapr" / "runtime" / "go.mod").read_text()
    (version,) = re.findall(rf"^\s*{re.escape(MODULE)} (v\S+)", text, re.MULTILINE)
    return str(version)


def module(environment: Mapping[str, str]) -> Path:
    """Where Go keeps the pinned components-contrib, if it was ever fetched here."""
    gopath = environment.get("GOPATH") or str(Path.home() / "go")
    cache = environment.get("GOMODCACHE") or f"{gopath}/pkg/mod"
    return Path(cache) / f"{MODULE}@{pinned()}"


def types() -> list[str]:
    """The component types with a stored table."""
    return sorted(path.stem for path in FIELDS.glob("*.json"))


def made_from(sources: Path, kind: str) -> Table:
    """Make the table of a component type (pubsub.redis) from its metadata.yaml."""
    path = f"{kind.replace('.', '/')}/metadata.yaml"
    told = yaml.safe_load((sources / path).read_text())
    profiles = [each for name in PROFILES for each in told.get(name, [])]
    return {
        "source": f"{MODULE}@{pinned()}/{path}",
        "version": told["version"],
        "fields": _fields(told["metadata"]),
        "profiles": {
            each.get("title") or each["name"]: _fields(each["metadata"])
            for each in profiles
        },
    }


def stored(kind: str) -> Table:
    """Read the table of a component type as it is stored."""
    table: Table = json.loads((FIELDS / f"{kind}.json").read_text())
    return table


def deviations(kind: str) -> list[dict[str, Any]]:
    """Read where a component type does other than its metadata.yaml says."""
    listed: dict[str, list[dict[str, Any]]] = yaml.safe_load(DEVIATIONS.read_text())
    return listed.get(kind, [])


def real(kind: str) -> Table:
    """The table as the component behaves: the stored one, with the deviations."""
    table = {**stored(kind), "subscription": {}}
    for each in deviations(kind):
        _deviate(table, each)
    return table


def _deviate(table: Table, deviation: dict[str, Any]) -> None:
    name, facts = deviation["field"], deviation.get("as", {})
    if deviation["is"] == "missing":
        table["fields"][name] = facts
    elif deviation["is"] == "subscription":
        table["subscription"][name] = facts
    for place in _places(table):
        if deviation["is"] == "unread":
            place.pop(name, None)
        elif deviation["is"] == "other" and name in place:
            place[name].update(facts)


def _places(table: Table) -> list[Fields]:
    return [table["fields"], *table["profiles"].values()]


def wrong_in(component: dict[str, Any]) -> Iterator[str]:
    """List what is wrong with a component's fields; Dapr would not report it."""
    spec = component["spec"]
    table = real(spec["type"])
    values = {each["name"]: each.get("value") for each in spec["metadata"]}
    if spec["version"] != table["version"]:
        yield f"the version is {table['version']}, not {spec['version']}"
    places = _places(table)
    for name, value in values.items():
        yield from _wrong_with(name, value, [p[name] for p in places if name in p])
    yield from (f"{name} is missing" for name in _missing(table["fields"], values))
    profiles = table["profiles"].values()
    if profiles and not any(_fits(profile, values) for profile in profiles):
        yield f"no way to log in is complete: {', '.join(table['profiles'])}"


def wrong_in_tuning(kind: str, metadata: dict[str, str]) -> Iterator[str]:
    """List what is wrong with the metadata of a component's subscriptions."""
    read = real(kind)["subscription"]
    for name, value in metadata.items():
        yield from _wrong_with(name, value, [read[name]] if name in read else [])


def _wrong_with(
    name: str, value: str | None, read: list[dict[str, Any]]
) -> Iterator[str]:
    if not read:
        yield f"{name} is not a field that the component reads"
    elif value is not None:
        allowed = {each for field in read for each in field.get("allowed", [])}
        if allowed and value not in allowed:
            yield f"{name} is {value!r}, and may be {', '.join(sorted(allowed))}"
        if not VALUES[read[0].get("type", "string")].fullmatch(value):
            yield f"{name} is {value!r}, and should be a {read[0]['type']}"


def _missing(fields: Fields, values: dict[str, str | None]) -> list[str]:
    required = [name for name, field in fields.items() if field.get("required")]
    return [name for name in required if name not in values]


def _fits(profile: Fields, values: dict[str, str | None]) -> bool:
    return not _missing(profile, values) and all(
        values.get(name) in (None, *field["allowed"])
        for name, field in profile.items()
        if "allowed" in field
    )


def _fields(listed: list[dict[str, Any]]) -> Fields:
    return {each["name"]: dict(_facts(each)) for each in listed}


def _facts(field: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    yield "type", field.get("type", "string")
    if field.get("required"):
        yield "required", True
    if "default" in field:
        yield "default", str(field["default"]).strip('"')
    if "allowedValues" in field:
        yield "allowed", [str(each).strip('"') for each in field["allowedValues"]]


def main() -> None:
    """Write every stored table anew, from the Go module of the pinned version."""
    sources = module(os.environ)
    for kind in types():
        text = json.dumps(made_from(sources, kind), indent=1, sort_keys=True)
        (FIELDS / f"{kind}.json").write_text(f"{text}\n")


if __name__ == "__main__":
    main()
