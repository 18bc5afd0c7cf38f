"""Dapr's two programs: the versions that this project works with, and the choice of one that is there."""

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from chassis.flaws import TESTED, Version, known_flaws, numbers
from toolchain.machine import Machine, terminal
from toolchain.machine.failure import Failure


@dataclass(frozen=True)
class Program:
    """What the project needs of one of Dapr's programs, and how it is built where it is missing."""

    name: str
    role: str
    at_least: Version
    sources: str
    module: str
    package: str
    minutes: int
    flags: tuple[str, ...] = ("-ldflags", "-s -w")
    says_version: bool = True

    @property
    def variable(self) -> str:
        """The variable of the environment that insists on one."""
        return self.name.upper()

    @property
    def wanted(self) -> str:
        """The versions that suit, in words."""
        return f"{self.at_least[0]}.{self.at_least[1]} or newer"


CLI = Program(
    name="dapr",
    role="Dapr's command line",
    at_least=(1, 16, 0),
    sources="cli",
    module="github.com/dapr/cli",
    package="github.com/dapr/cli",
    flags=("-ldflags", "-s -w -X main.version={version} -X main.apiVersion=1.0"),
    minutes=4,
)
SIDECAR = Program(
    name="daprd",
    role="Dapr's sidecar",
    at_least=(1, 18, 0),
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


def _control_plane(name: str, role: str) -> Program:
    return Program(
        name=name,
        role=role,
        at_least=SIDECAR.at_least,
        sources=SIDECAR.sources,
        module=SIDECAR.module,
        package=f"github.com/dapr/dapr/cmd/{name}",
        flags=SIDECAR.flags[2:],
        minutes=1,
        says_version=False,
    )


SENTRY = _control_plane("sentry", "Dapr's authority for certificates")
OPERATOR = _control_plane("operator", "what brings Dapr's resources to a sidecar")
INJECTOR = _control_plane("injector", "what adds the sidecar to a pod")


TOO_NEW = (2, 0, 0)


def choose(machine: Machine, program: Program) -> Path | None:
    """Return the suitable program that is already there, or None; print a line for an unsuitable one."""
    explicit = machine.environment.get(program.variable)
    if explicit:
        return _insisted_on(program, Path(explicit))
    for candidate in candidates(machine, program):
        version = version_of(candidate)
        if suits(program, version):
            return candidate
        terminal.warning(
            program.name,
            f"{candidate} is {version or 'of an unknown version'}; needed is {program.wanted}.\n"
            "It is left untouched; the project uses one of its own beside it.",
        )
    return None


def candidates(machine: Machine, program: Program) -> Iterator[Path]:
    """Yield the programs of that name on the PATH and where Dapr's installer puts them, without our own."""
    path = machine.environment.get("PATH", "").split(os.pathsep)
    folders = [Path(folder) for folder in path if folder]
    seen: set[Path] = set()
    for folder in [*folders, machine.home / ".dapr" / "bin"]:
        candidate = folder / program.name
        real = candidate.resolve()
        is_new = real not in seen and os.access(real, os.X_OK)
        if is_new and not _is_ours(machine, folder, real):
            seen.add(real)
            yield candidate


def version_of(path: Path) -> str | None:
    """Return the version in the first line that a program prints (the CLI's second is the runtime's)."""
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
    """Return whether the project works with that version."""
    return version is not None and program.at_least <= numbers(version) < TOO_NEW


def warn_of_known_flaws(program: Program, version: str) -> None:
    """Print the known flaws of a version, and whether it is the one that was tested."""
    if program != SIDECAR:
        return
    if numbers(version) > numbers(TESTED):
        terminal.warning(program.name, f"{version} is newer than the tested {TESTED}")
    for effect in known_flaws(version):
        terminal.warning(program.name, f"{version} {effect}")


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
