"""Python for the project: a virtual environment in `.venv`, with every package locked by its hash."""

import hashlib
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

from toolchain.machine import processes, terminal
from toolchain.machine.failure import Failure
from toolchain.machine.machine import Machine

REQUIREMENTS = "requirements-dev.txt"
STAMP = "requirements.sha256"
"""Written into `.venv` when all is installed: the lock that it was installed from."""


def prepare(machine: Machine, interpreter: Path | None = None) -> None:
    """Make `.venv` and install the locked packages, unless the stamp says that this was done."""
    requirements = machine.root / REQUIREMENTS
    stamp = machine.virtual_environment / STAMP
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()
    is_made = stamp.is_file() and _works(machine)
    if not is_made:
        _make(machine, interpreter or _interpreter())
    if not is_made or stamp.read_text().strip() != wanted:
        stamp.unlink(missing_ok=True)
        terminal.busy(
            "Python",
            f"the packages of {REQUIREMENTS} are installed: once, about a minute",
        )
        pip_install(machine, requirements)
        stamp.write_text(f"{wanted}\n")
    count = len(re.findall(r"^[^#\s]\S*==", requirements.read_text(), re.MULTILINE))
    terminal.done("Python", f".venv, {count} packages, each checked against its hash")


def python(machine: Machine) -> Path:
    """Return the interpreter of the virtual environment."""
    return machine.programs / "python"


def pip_install(machine: Machine, requirements: Path, *options: str) -> None:
    """Install hash-locked requirements with the virtual environment's pip."""
    pip = (str(python(machine)), "-m", "pip", "install", "--no-input")
    how = ("--disable-pip-version-check", "--require-hashes", *options)
    log = machine.cache / "logs" / f"pip-{requirements.stem}.log"
    command = (*pip, *how, "-r", str(requirements))
    task = processes.Task(command, machine.root, machine.environment, log)
    processes.carry_out(
        task,
        "Python",
        f"The packages of {requirements.name} could not be installed",
        "Most often the network or the proxy is the reason; run it again to go on where it stopped.",
    )


def _works(machine: Machine) -> bool:
    # After an upgrade of the system's Python, the new one does not look where the packages are.
    try:
        asked = subprocess.run(
            [python(machine), "-c", "import pip"], capture_output=True, check=False
        )
    except OSError:
        return False
    return asked.returncode == 0


def _interpreter() -> Path:
    # Inside a virtual environment, perhaps this one, the Python that it was made from counts.
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    outside = Path(sys.base_prefix) / "bin" / version
    is_inside = sys.prefix != sys.base_prefix and outside.exists()
    return outside if is_inside else Path(sys.executable)


def _make(machine: Machine, interpreter: Path) -> None:
    if not all(importlib.util.find_spec(name) for name in ("venv", "ensurepip")):
        raise Failure(
            "The virtual environment .venv cannot be made",
            f"This Python ({sys.executable}) comes without venv or ensurepip, as Debian and Ubuntu ship it.",
            f"Type: sudo apt-get install python3.{sys.version_info.minor}-venv   and run it again.",
        )
    folder, log = str(machine.virtual_environment), machine.cache / "logs" / "venv.log"
    command = (str(interpreter), "-m", "venv", "--clear", folder)
    processes.carry_out(
        processes.Task(command, machine.root, machine.environment, log),
        "Python",
        "The virtual environment .venv could not be made",
        "Repair what these lines name (a full disk? a folder that is read-only?), then run it again.",
    )
