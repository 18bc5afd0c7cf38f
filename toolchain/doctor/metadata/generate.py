"""Write components.json anew, from the Go modules that daprd is built from.

The table is stored because a machine with a ready daprd has no Go module to read. It is made of the metadata.yaml
files of github.com/dapr/components-contrib and the registrations in github.com/dapr/dapr, both Apache-2.0.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from toolchain.doctor.metadata import table

ROOT = Path(__file__).parents[3]
COMPONENTS, RUNTIME = "github.com/dapr/components-contrib", "github.com/dapr/dapr"
PROFILES = ("authenticationProfiles", "builtinAuthenticationProfiles")
WITH_FIELDS = ("bindings", "pubsub", "secretstores", "state")
"""The kinds of component whose fields are stored; of the others the names alone."""
REGISTERS = re.compile(r"\bRegister\w*\((.*?)\n}", re.DOTALL)
NAME = re.compile(r'"([a-z][a-z0-9.-]*)"')
VERSION = re.compile(r"v\d+")


def pinned(module: str) -> str:
    """Return the version of a Go module that the project's daprd is built with."""
    text = (ROOT / "toolchain/dapr/runtime/go.mod").read_text()
    (version,) = re.findall(rf"(?:^|\s){re.escape(module)} (v\S+)", text, re.MULTILINE)
    return str(version)


def folder(module: str, environment: Mapping[str, str]) -> Path:
    """Return where Go keeps the pinned module, if it was ever fetched here."""
    gopath = environment.get("GOPATH") or str(Path.home() / "go")
    cache = environment.get("GOMODCACHE") or f"{gopath}/pkg/mod"
    return Path(cache) / f"{module}@{pinned(module)}"


def made_from(components: Path, runtime: Path) -> dict[str, Any]:
    """Return the whole table; the same modules make the same one."""
    types: dict[str, dict[str, Any]] = {}
    for name, versions in registered(runtime):
        entry = types.setdefault(name, {"versions": []})
        entry["versions"] = sorted({*entry["versions"], *versions})
    for file in sorted(components.rglob("metadata.yaml")):
        # One file has a tab behind a value, which Go takes and PyYAML does not.
        _describe(types, yaml.safe_load(file.read_text().replace("\t", " ")))
    return {
        "source": f"{COMPONENTS}@{pinned(COMPONENTS)}, {RUNTIME}@{pinned(RUNTIME)}",
        "license": "Apache-2.0",
        "types": dict(sorted(types.items())),
    }


def registered(runtime: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield the names under which daprd registers components, with their versions."""
    for file in sorted((runtime / "cmd/daprd/components").glob("*_*.go")):
        kind, _, rest = file.stem.partition("_")
        prefix = "middleware.http" if rest.startswith("http_") else kind
        for call in REGISTERS.findall(file.read_text()):
            words = NAME.findall(call)
            versions = [word for word in words if VERSION.fullmatch(word)]
            names = [word for word in words if word not in versions]
            # What else a middleware's registration quotes are its settings.
            for name in names[:1] if rest.startswith("http_") else names:
                yield f"{prefix}.{name}", versions or ["v1"]


def _describe(types: dict[str, dict[str, Any]], told: dict[str, Any]) -> None:
    if told["type"] not in WITH_FIELDS:
        return
    entry = types.setdefault(f"{told['type']}.{told['name']}", {"versions": []})
    entry["versions"] = sorted({*entry["versions"], told["version"]})
    # Two versions of one component are described in two files: what either reads is known.
    fields = entry.setdefault("fields", {})
    for each in told.get("metadata") or ():
        before = fields.get(each["name"])
        fields[each["name"]] = table.packed(each) if before is None else before
    profiles = [each for name in PROFILES for each in told.get(name) or ()]
    for each in profiles:
        title = each.get("title") or each["name"]
        described = {f["name"]: table.packed(f) for f in each.get("metadata") or ()}
        entry.setdefault("profiles", {})[title] = described


def text(content: dict[str, Any]) -> str:
    """Return the table as it is stored: a component type a line."""
    types = ",\n".join(
        f"{json.dumps(name)}: {json.dumps(entry, ensure_ascii=False, sort_keys=True)}"
        for name, entry in content["types"].items()
    )
    head = ",\n".join(
        f'"{key}": {json.dumps(content[key])}' for key in ("source", "license")
    )
    return f'{{\n{head},\n"types": {{\n{types}\n}}\n}}\n'


def main() -> None:
    """Write the stored table anew."""
    modules = [folder(each, os.environ) for each in (COMPONENTS, RUNTIME)]
    table.STORED.write_text(text(made_from(*modules)), encoding="utf-8")


if __name__ == "__main__":
    main()
