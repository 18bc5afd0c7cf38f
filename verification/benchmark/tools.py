"""What the benchmark needs besides the project: the peers' packages, and programs that make load."""

import os
import subprocess
import sys
import tomllib
import venv
from pathlib import Path
from tempfile import TemporaryDirectory

from verification.benchmark.stage import ROOT, cache

PERF_TEST = ("com.rabbitmq", "perf-test", "2.22.1")
POM = (
    "<project><modelVersion>4.0.0</modelVersion><groupId>load</groupId><artifactId>load</artifactId>"
    "<version>1</version><dependencies><dependency>{dependency}</dependency></dependencies></project>"
)
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


def perf_test() -> str:
    """Return the class path of RabbitMQ's own load program; fetches it with Maven where it is not there."""
    folder = cache() / "benchmark" / f"perf-test-{PERF_TEST[-1]}"
    if not folder.exists():
        names = ("groupId", "artifactId", "version")
        pairs = zip(names, PERF_TEST, strict=True)
        wanted = "".join(f"<{name}>{value}</{name}>" for name, value in pairs)
        with TemporaryDirectory() as project:
            pom = POM.format(dependency=wanted)
            (Path(project) / "pom.xml").write_text(pom)
            copy = ["dependency:copy-dependencies", f"-DoutputDirectory={folder}"]
            subprocess.run(["mvn", "--quiet", *copy], cwd=project, check=True)
    return f"{folder}/*"


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
