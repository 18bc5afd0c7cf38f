"""What the benchmark needs besides the project: the peers' packages, and a compiled load client."""

import os
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

from verification.benchmark.stage import ROOT, cache

LOAD_CLIENT = "github.com/tsenart/vegeta/v12@v12.13.0"


def packages() -> Path:
    """Return the folder of the packages in the group `bench`; installs them in the user's cache first."""
    folder = cache() / "benchmark" / "packages"
    wanted = _group()
    marker = folder / "installed.txt"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    found = folder / "lib" / version / "site-packages"
    if not marker.exists() or marker.read_text() != wanted:
        venv.create(folder, with_pip=True, clear=True)
        # What the project has locked counts as installed: only what is missing comes in here.
        ours = next((ROOT / ".venv" / "lib").glob("python*/site-packages"))
        (found / "project.pth").write_text(f"{ours}\n")
        pip = str(folder / "bin" / "pip")
        install = [pip, "install", "--quiet", *wanted.split("\n")]
        subprocess.run(install, check=True)
        marker.write_text(wanted)
    return found


def _group() -> str:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return "\n".join(project["dependency-groups"]["bench"])


def load_client() -> Path:
    """Return the compiled load client; builds it where it is not there."""
    folder = cache() / "benchmark" / LOAD_CLIENT.rpartition("@")[2]
    program = folder / "vegeta"
    if not program.exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "go.mod").write_text("module load\n\ngo 1.22\n")
        module = LOAD_CLIENT.partition("@")[0]
        for step in (["get", LOAD_CLIENT], ["build", "-o", "vegeta", module]):
            environment = {**os.environ, "GOFLAGS": "-mod=mod"}
            subprocess.run(["go", *step], cwd=folder, env=environment, check=True)
    return program
