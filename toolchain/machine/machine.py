"""The machine as the toolchain sees it: the clone, the environment, and what is found by it."""

import os
import platform
import shutil
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Machine:
    """A clone, the environment in which it is set up, and the system's files; tests make their own."""

    root: Path
    environment: Mapping[str, str]
    system: Path = Path("/")

    @property
    def virtual_environment(self) -> Path:
        """The clone's own Python, and the links to Dapr."""
        return self.root / ".venv"

    @property
    def programs(self) -> Path:
        """The folder in which everything else finds python, dapr and daprd."""
        return self.virtual_environment / "bin"

    @property
    def version(self) -> str:
        """The version in pyproject.toml."""
        project = tomllib.loads((self.root / "pyproject.toml").read_text())["project"]
        return str(project["version"])

    @property
    def home(self) -> Path:
        """The user's home folder."""
        return Path(self.environment.get("HOME") or Path.home())

    @property
    def cache(self) -> Path:
        """Where built programs are kept: outside the clone, so that the next clone finds them."""
        return (
            Path(self.environment.get("XDG_CACHE_HOME") or self.home / ".cache")
            / "orders-on-dapr"
        )


def this_machine() -> Machine:
    """Return the machine that this program runs on, with the clone that it belongs to."""
    return Machine(Path(__file__).resolve().parents[2], os.environ.copy())


def find(machine: Machine, program: str) -> Path | None:
    """Find a program on the PATH."""
    found = shutil.which(program, path=machine.environment.get("PATH", ""))
    return Path(found) if found else None


def kind() -> str:
    """Return the kind of machine: part of a built program's identity, because a home may be shared."""
    return f"{platform.system()} {platform.machine()}"
