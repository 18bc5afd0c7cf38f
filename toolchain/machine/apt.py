"""Debian's packages, installed where that needs no password; the work itself is in install-package."""

import os
import subprocess
from pathlib import Path

from toolchain.machine import processes, terminal
from toolchain.machine.failure import Failure
from toolchain.machine.machine import Machine, find

INSTALL = Path(__file__).with_name("install-package")


def available(machine: Machine) -> bool:
    """Return whether packages can be installed here without asking anybody."""
    return find(machine, "apt-get") is not None and _become_root(machine) is not None


def provide(machine: Machine, package: str, what: str, otherwise: str) -> None:
    """Install a package; raises Failure where that needs a password, with what else would help."""
    if not available(machine):
        raise Failure(
            f"There is no {what} on this machine",
            "It is not installed, and packages need a password here.",
            f"One of these helps:\n  sudo apt-get install {package}\n  {otherwise}",
        )
    install(machine, package)


def install(machine: Machine, package: str) -> None:
    """Install a package as root; it is never cut short."""
    terminal.busy(
        "apt-get", f"{package} is installed: once, about 1 min; no service is started"
    )
    system = [str(machine.system)] if machine.system != Path("/") else []
    command = (*(_become_root(machine) or ()), str(INSTALL), package, *system)
    log = machine.cache / "logs" / f"apt-{package}.log"
    task = processes.Task(command, machine.root, machine.environment, log)
    processes.carry_out(
        task,
        "apt-get",
        f"The package {package} could not be installed",
        "Most often the network is the reason, or another program that installs packages just now.\n"
        f"Run it again, or type: sudo apt-get install {package}",
        _let_it_finish,
    )


def _become_root(machine: Machine) -> tuple[str, ...] | None:
    if os.geteuid() == 0:
        return ()
    sudo = find(machine, "sudo")
    if sudo is None:
        return None
    asked = subprocess.run([sudo, "-n", "true"], capture_output=True, check=False)
    return None if asked.returncode else (str(sudo), "-n")


def _let_it_finish(child: "subprocess.Popen[bytes]") -> None:
    terminal.busy("apt-get", "finishes first, so that no package stays half configured")
    child.wait()
