"""PostgreSQL for the project: the programs that are installed, and a cluster of its own for the services."""

import os
import re
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from toolchain.machine import Machine, apt, find, terminal
from toolchain.machine.failure import Failure
from toolchain.servers import postgresql_cluster
from toolchain.servers.postgresql_cluster import Cluster
from toolchain.supervise.server import RunningServer

NAME, PACKAGE = "PostgreSQL", "postgresql"
OLDEST = 14
LIBRARY = "usr/lib/postgresql"
NEEDED = ("postgres", "initdb", "psql", "pg_isready")


def prepare(machine: Machine) -> None:
    """Install what `provide` needs, and print what it will use."""
    programs = provided_programs(machine)
    terminal.done(NAME, f"version {version_of(programs)}, {programs}")


@contextmanager
def provide(
    machine: Machine, folder: Path, port: int, names: Iterable[str]
) -> Iterator[RunningServer]:
    """Run the project's own cluster, with a role and a database of its own for each of these names."""
    programs = programs_for(folder, machine)
    cluster = Cluster(folder.absolute(), port, programs, tuple(names))
    with postgresql_cluster.running(cluster) as started:
        terminal.done(NAME, f"the project's own cluster at 127.0.0.1:{port}")
        yield started


def provided_programs(machine: Machine) -> Path:
    """Find the programs, or install them; raises Failure where neither can be done."""
    if not installed(machine):
        otherwise = "DATABASE=sqlite, which needs nothing"
        apt.provide(machine, PACKAGE, f"PostgreSQL {OLDEST} or newer", otherwise)
    if programs := installed(machine):
        return programs
    raise Failure(
        f"There is no PostgreSQL {OLDEST} or newer on this machine",
        f"The package {PACKAGE} is installed, and is too old.",
        "Take DATABASE=sqlite, which needs nothing.",
    )


def programs_for(folder: Path, machine: Machine) -> Path:
    """Return the programs for the cluster in this folder: those that wrote its data, else the newest."""
    written_by = folder / "data" / "PG_VERSION"
    if not written_by.exists():
        return provided_programs(machine)
    # A newer one, that came meanwhile, would refuse the data.
    version = int(written_by.read_text())
    for programs in _candidates(machine):
        if version_of(programs) == version:
            return programs
    raise Failure(
        f"PostgreSQL {version}, which wrote the data in {folder}, is not installed any more",
        "Another version cannot read it.",
        f"Install it: sudo apt-get install postgresql-{version}\n"
        f"If you can do without the data: rm -r {folder}",
    )


def installed(machine: Machine) -> Path | None:
    """Find the folder of the newest PostgreSQL on this machine that is new enough."""
    newest = max(_candidates(machine), key=version_of, default=None)
    return newest if newest and version_of(newest) >= OLDEST else None


def version_of(programs: Path) -> int:
    """Return the major version of the programs in this folder; 0 where they do not say."""
    answer = subprocess.run(
        [programs / "postgres", "--version"],
        capture_output=True,
        text=True,
        check=False,
        env={"LC_ALL": "C", "PATH": os.defpath},
    )
    found = re.search(r" (\d+)", answer.stdout)
    return int(found[1]) if found else 0


def _candidates(machine: Machine) -> list[Path]:
    folders = [*(machine.system / LIBRARY).glob("*/bin")]
    if on_path := find(machine, "postgres"):
        folders.append(on_path.resolve().parent)
    return [
        folder
        for folder in folders
        if all((folder / program).exists() for program in NEEDED)
    ]
