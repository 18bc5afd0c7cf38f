"""Python for the project: a virtual environment in `.venv`, with every package locked by its hash."""

import hashlib
import importlib.util
import subprocess
import sys
from pathlib import Path

from toolchain.machine import Machine, processes, say
from toolchain.machine.failure import Failure

REQUIREMENTS = "requirements-dev.txt"
STAMP = "requirements.sha256"


def prepare(machine: Machine, interpreter: Path | None = None) -> None:
    """Make `.venv` and install the locked packages, unless the stamp says that this was done."""
    requirements = _requirements(machine)
    stamp = machine.virtual_environment / STAMP
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()
    if not (stamp.is_file() and _works(machine)):
        _make(machine, interpreter or _interpreter())
        _install(machine, requirements)
    elif stamp.read_text().strip() != wanted:
        _install(machine, requirements)
    _write_stamp(stamp, wanted)
    say.done(
        "Python",
        f".venv, {_count(requirements)} packages, each checked against its hash",
    )


def python(machine: Machine) -> Path:
    """The interpreter of the virtual environment."""
    return machine.programs / "python"


def _requirements(machine: Machine) -> Path:
    requirements = machine.root / REQUIREMENTS
    if not requirements.is_file():
        raise Failure(
            "Python's packages cannot be installed",
            f"{REQUIREMENTS} is missing: this does not look like a whole clone.",
            f"Bring it back with: git checkout -- {REQUIREMENTS}",
        )
    return requirements


def _works(machine: Machine) -> bool:
    # After an upgrade of the system's Python, the new one does not look where the packages are.
    ask = (
        "import importlib.util, sys; sys.exit(importlib.util.find_spec('pip') is None)"
    )
    try:
        return (
            subprocess.run(
                [python(machine), "-c", ask], capture_output=True, check=False
            ).returncode
            == 0
        )
    except OSError:
        return False


def _interpreter() -> Path:
    # Inside a virtual environment, perhaps this one, the Python that it was made from counts.
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    outside = Path(sys.base_prefix) / "bin" / version
    return (
        outside
        if sys.prefix != sys.base_prefix and outside.exists()
        else Path(sys.executable)
    )


def _make(machine: Machine, interpreter: Path) -> None:
    _refuse_a_python_without_venv()
    if machine.virtual_environment.exists():
        say.busy(
            "Python",
            "the .venv here was never finished or no longer works: it is made anew",
        )
    command = (
        str(interpreter),
        "-m",
        "venv",
        "--clear",
        str(machine.virtual_environment),
    )
    task = processes.Task(
        command, machine.root, machine.environment, machine.cache / "logs" / "venv.log"
    )
    if processes.carry_out(task, lambda _: None):
        raise Failure(
            "The virtual environment .venv could not be made",
            processes.tail(task.log),
            "Repair what these lines name (a full disk? a folder that is read-only?), then run it again.",
        )


def _refuse_a_python_without_venv() -> None:
    if all(importlib.util.find_spec(module) for module in ("venv", "ensurepip")):
        return
    raise Failure(
        "The virtual environment .venv cannot be made",
        f"This Python ({sys.executable}) comes without venv or ensurepip, as Debian and Ubuntu ship it.",
        f"Type: sudo apt-get install python3.{sys.version_info.minor}-venv   and run it again.",
    )


def _install(machine: Machine, requirements: Path) -> None:
    (machine.virtual_environment / STAMP).unlink(missing_ok=True)
    say.busy(
        "Python",
        f"the {_count(requirements)} packages of {REQUIREMENTS} are installed: once, about a minute",
    )
    pip_install(machine, requirements, ())


def pip_install(machine: Machine, requirements: Path, options: tuple[str, ...]) -> None:
    """Install hash-locked requirements with the virtual environment's pip."""
    pip = (
        str(python(machine)),
        "-m",
        "pip",
        "install",
        "--no-input",
        "--disable-pip-version-check",
    )
    command = (*pip, "--require-hashes", *options, "-r", str(requirements))
    log = machine.cache / "logs" / f"pip-{requirements.stem}.log"
    task = processes.Task(command, machine.root, machine.environment, log)
    if processes.carry_out(task, _say_pip_goes_on):
        raise Failure(
            f"The packages of {requirements.name} could not be installed",
            processes.tail(log, 8),
            "Most often the network or the proxy is the reason; run it again to go on where it stopped.\n"
            f"All that pip said: {log}",
        )


def _say_pip_goes_on(elapsed: float) -> None:
    say.busy("Python", f"still installing, {processes.duration(elapsed)}")


def _write_stamp(stamp: Path, wanted: str) -> None:
    half = stamp.with_suffix(".new")
    half.write_text(wanted + "\n")
    half.replace(stamp)


def _count(requirements: Path) -> int:
    return sum(
        "==" in line and not line.lstrip().startswith("#")
        for line in requirements.read_text().splitlines()
    )
