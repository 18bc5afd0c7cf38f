"""Bills of materials (SBOM, CycloneDX): what a service is made of in Python, and Dapr's programs in Go."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from toolchain.audit.programs import run

PYTHON = "services.cdx.json"


def of_python(root: Path, folder: Path) -> int:
    """Write the bill of the locked requirements, with their hashes; return how many packages it has."""
    file = folder / PYTHON
    run(
        root,
        *("cyclonedx-py", "requirements", "requirements.txt"),
        *("--output-reproducible", "--of", "JSON", "-o", str(file)),
    )
    return len(json.loads(file.read_text())["components"])


def of_go(go: Path, program: Path, folder: Path) -> int:
    """Write the bill of a program, as its build recorded it; return how many modules it has."""
    document = of_program(go, program)
    file = folder / f"{program.name}.cdx.json"
    file.write_text(json.dumps(document, indent=1) + "\n")
    return len(document["components"])


def of_program(go: Path, program: Path) -> dict[str, Any]:
    """Return the bill of a program, as its build recorded it."""
    said = subprocess.run(
        [go, "version", "-m", program], capture_output=True, text=True, check=True
    )
    return go_bill(program.name, said.stdout)


def go_bill(name: str, said: str) -> dict[str, Any]:
    """Return the bill of what `go version -m` says."""
    (_, version, *_), *modules = [*_modules(said)]
    main = {"type": "application", "name": name, "version": version}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": main},
        "components": [_component(*each) for each in modules],
    }


def _modules(said: str) -> Iterator[tuple[str, str, str]]:
    # A line that begins with => says what the module before it was replaced by.
    found: list[tuple[str, str, str]] = []
    for line in said.splitlines():
        kind, _, rest = line.strip().partition("\t")
        path, version, checksum, *_ = (*rest.split("\t"), "", "", "")
        if kind == "=>":
            found.pop()
        if kind in {"mod", "dep", "=>"}:
            found.append((path, version, checksum))
    yield from found


def _component(path: str, version: str, checksum: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "type": "library",
        "name": path,
        "version": version,
        "purl": f"pkg:golang/{path}@{version}",
    }
    if checksum:
        found["properties"] = [{"name": "go:checksum", "value": checksum}]
    return found
