"""Dapr's programs from source: built once into the user's cache, checked, and only then put in place."""

import hashlib
import json
import os
import re
import subprocess
from pathlib import Path

from toolchain.dapr import golang
from toolchain.dapr.programs import Program, version_of
from toolchain.machine import Machine, kind, processes, terminal
from toolchain.machine.failure import Failure
from toolchain.supervise.locks import made_once, remove

# readonly makes go.sum binding; the others make the result the same whatever this machine's settings are.
COMMON_FLAGS = ("-mod=readonly", "-buildvcs=false", "-trimpath")
# Without C, as Dapr's own releases are: no compiler is needed here, and no particular libc.
VARIABLES = {"CGO_ENABLED": "0", "GOWORK": "off"}
USUAL_REASONS = (
    "Most often the network is the reason (HTTPS_PROXY, GOPROXY), or room: building needs about 8 GB of disk\n"
    "in Go's caches and 3 GB of memory. Run it again to go on where it stopped.\n"
    "Or install Dapr yourself (docs/setup.md): set-up then uses it."
)


def provide(machine: Machine, program: Program) -> Path:
    """Return the project's own build of a program; build it when the cache lacks it."""
    final = place(machine, program)
    waiting = "another set-up is building it right now: waiting for that one"
    return made_once(
        final,
        lambda: terminal.busy(program.name, waiting),
        lambda: _build(machine, program, final),
    )


def place(machine: Machine, program: Program) -> Path:
    """Return where the cache keeps a program: a folder named by all that decides the result."""
    sources = machine.root / "toolchain" / "dapr" / program.sources
    recipe = [(sources / name).read_bytes() for name in ("go.mod", "go.sum")]
    recipe += [
        " ".join((*COMMON_FLAGS, *program.flags, *VARIABLES.values(), kind())).encode()
    ]
    identity = hashlib.sha256(b"\0".join(recipe)).hexdigest()[:10]
    version = pinned_version(machine, program)
    return machine.cache / f"{program.name}-{version}-{identity}" / program.name


def source(machine: Machine, sources: str, module: str) -> Path:
    """Return the folder of a Go module's source: at the version it names, or at that which this go.mod pins."""
    go = golang.provide(machine)
    done = subprocess.run(
        [go.command, "mod", "download", "-json", module],
        cwd=machine.root / "toolchain" / "dapr" / sources,
        env={**machine.environment, **VARIABLES, **go.variables},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Failure(f"{module} cannot be had", done.stdout.strip(), USUAL_REASONS)
    return Path(json.loads(done.stdout)["Dir"])


def pinned_version(machine: Machine, program: Program) -> str:
    """Return the version that go.mod pins."""
    sources = machine.root / "toolchain" / "dapr" / program.sources
    text = (sources / "go.mod").read_text()
    pinned = rf"^\s*(?:require )?{re.escape(program.module)} v(\S+)"
    return str(re.findall(pinned, text, re.MULTILINE)[0])


def _build(machine: Machine, program: Program, final: Path) -> None:
    go = golang.provide(machine)
    version = pinned_version(machine, program)
    terminal.busy(
        program.name,
        f"{version}, {program.role}, is built from source, because none that suits was found here:\n"
        f"once, about {program.minutes} minutes; what is done stays done if you stop it",
    )
    half, scratch = final.with_suffix(".half"), final.parent / "scratch"
    remove(scratch)
    scratch.mkdir()
    try:
        _run_go(machine, program, go, half)
        _check(program, half, version)
        with half.open("rb") as file:
            # Else a power cut could leave the final name with an empty file.
            os.fsync(file.fileno())
        half.replace(final)
    finally:
        remove(half)
        remove(scratch)


def _run_go(machine: Machine, program: Program, go: golang.Go, half: Path) -> None:
    version = pinned_version(machine, program)
    flags = [flag.format(version=version) for flag in program.flags]
    built = ("build", *COMMON_FLAGS, *flags, "-o", str(half), program.package)
    # Go's temporary files stay beside the result: /tmp is small on many machines.
    own = {"GOTMPDIR": str(half.parent / "scratch")}
    environment = {**machine.environment, **VARIABLES, **go.variables, **own}
    folder = machine.root / "toolchain" / "dapr" / program.sources
    command, log = (str(go.command), *built), half.parent / "build.log"
    task = processes.Task(command, folder, environment, log)
    failure = f"{program.name} could not be built"
    processes.carry_out(task, program.name, failure, USUAL_REASONS)


def _check(program: Program, half: Path, version: str) -> None:
    answer = version_of(half) if program.says_version else version
    if answer != version:
        raise Failure(
            f"{program.name} was built but is not put in place",
            f"Its version should be {version}, and is {answer or 'unknown'}.",
            "Run it again; if that does not help, report it with the versions of Go and of this system.",
        )
