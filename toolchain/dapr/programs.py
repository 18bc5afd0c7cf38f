"""Dapr's two programs: which versions this project works with, and the choice among those that are there."""

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from toolchain.machine import Machine, say
from toolchain.machine.failure import Failure

Version = tuple[int, int, int]


@dataclass(frozen=True)
class Program:
    """What the project needs of one of Dapr's programs, and how it is built where it is missing."""

    name: str
    role: str
    variable: str
    wanted: str
    at_least: Version
    below: Version
    sources: str
    module: str
    package: str
    flags: tuple[str, ...]
    minutes: int


CLI = Program(
    name="dapr",
    role="Dapr's command line",
    variable="DAPR",
    wanted="1.16 or newer",
    at_least=(1, 16, 0),
    below=(2, 0, 0),
    sources="cli",
    module="github.com/dapr/cli",
    package="github.com/dapr/cli",
    flags=("-ldflags", "-s -w -X main.version={version} -X main.apiVersion=1.0"),
    minutes=4,
)
SIDECAR = Program(
    name="daprd",
    role="Dapr's sidecar",
    variable="DAPRD",
    wanted="1.18",
    at_least=(1, 18, 0),
    below=(1, 19, 0),
    sources="runtime",
    module="github.com/dapr/dapr",
    package="github.com/dapr/dapr/cmd/daprd",
    # All components, because the stable ones lack SMTP, JetStream and the name resolution without multicast.
    flags=(
        "-tags",
        "allcomponents",
        "-ldflags",
        "-s -w -X github.com/dapr/dapr/pkg/buildinfo.version={version}",
    ),
    minutes=8,
)
TRACE_FLAW_FIXED: Version = (1, 18, 3)


def choose(machine: Machine, program: Program) -> Path | None:
    """The suitable program that is already there, or None; an unsuitable one is refused in a line."""
    explicit = machine.environment.get(program.variable)
    if explicit:
        return _insisted_on(program, Path(explicit))
    for candidate in candidates(machine, program):
        version = version_of(candidate)
        if suits(program, version):
            return candidate
        say.warning(
            program.name,
            f"{candidate} is {version or 'of a version that it does not tell'}; needed is {program.wanted}.\n"
            "It is left untouched; the project uses one of its own beside it.",
        )
    return None


def candidates(machine: Machine, program: Program) -> Iterator[Path]:
    """The programs of that name on the PATH and where Dapr's installer puts them, without our own."""
    folders = [
        Path(folder)
        for folder in machine.environment.get("PATH", "").split(os.pathsep)
        if folder
    ]
    seen: set[Path] = set()
    for folder in [*folders, machine.home / ".dapr" / "bin"]:
        candidate = folder / program.name
        real = candidate.resolve()
        if (
            real in seen
            or not os.access(real, os.X_OK)
            or _is_ours(machine, folder, real)
        ):
            continue
        seen.add(real)
        yield candidate


def version_of(path: Path) -> str | None:
    """The version that a program tells in its first line (the CLI's second line is about the runtime)."""
    try:
        answer = subprocess.run(
            [path, "--version"], capture_output=True, check=False, text=True, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    first = answer.stdout.partition("\n")[0]
    found = re.search(r"\d+\.\d+\.\d+\S*", first)
    return found[0] if found else None


def suits(program: Program, version: str | None) -> bool:
    """Whether the project works with that version."""
    return version is not None and program.at_least <= numbers(version) < program.below


def numbers(version: str) -> Version:
    """The three numbers of a version; what follows them (`-rc.1`) does not matter here."""
    found = re.match(r"(\d+)\.(\d+)\.(\d+)", version)
    if not found:
        raise ValueError(version)
    return int(found[1]), int(found[2]), int(found[3])


def warn_of_known_flaws(program: Program, version: str) -> None:
    """Name the known flaw that a version has, and what it means here."""
    if program == SIDECAR and numbers(version) < TRACE_FLAW_FIXED:
        say.warning(
            program.name,
            f"{version} crashes on an event whose `traceid` is not a string (fixed in 1.18.3).\n"
            "This system sends no such event; one from elsewhere would stop its sidecar again and again.",
        )


def _insisted_on(program: Program, path: Path) -> Path:
    version = version_of(path)
    if suits(program, version):
        return path.absolute()
    state = f"is {version}" if version else "does not answer to --version"
    raise Failure(
        f"{program.name} cannot be used as {program.variable} asks",
        f"{path} {state}; needed is {program.wanted}.",
        f"Let {program.variable} name another, or unset it: set-up then finds or builds the right one.",
    )


def _is_ours(machine: Machine, folder: Path, real: Path) -> bool:
    runtime_path = machine.root / "toolchain" / ".dapr" / "bin"
    return folder in (machine.programs, runtime_path) or real.is_relative_to(
        machine.cache.resolve()
    )
