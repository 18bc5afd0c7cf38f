"""PgBouncer for the tests: the program that is installed, or the distribution's package."""

from pathlib import Path

from toolchain.machine import Machine, apt, find, terminal
from toolchain.machine.failure import Failure

NAME = PACKAGE = "pgbouncer"


def prepare(machine: Machine) -> None:
    """Install it where it is missing, and print what will be used."""
    terminal.done("PgBouncer", str(provide(machine)))


def provide(machine: Machine) -> Path:
    """Find the program, or install it; raises Failure where neither can be done."""
    if not (found := _find(machine)):
        apt.provide(machine, PACKAGE, "PgBouncer", "another pooler has no test here")
        found = _find(machine)
    if not found:
        raise Failure("PgBouncer is not found", f"Its package is {PACKAGE}.", "")
    return found


def _find(machine: Machine) -> Path | None:
    place = machine.system / "usr/sbin" / NAME
    return place if place.exists() else find(machine, NAME)
