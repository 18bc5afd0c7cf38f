"""Another time of day for one process, for tests: Debian's libfaketime. The machine's own stays."""

from contextlib import suppress
from pathlib import Path

from toolchain.machine import Machine, apt, terminal
from toolchain.machine.failure import Failure

NAME, PACKAGE = "faketime", "libfaketime"
LIBRARY = "usr/lib/*/faketime/libfaketime.so.1"


def prepare(machine: Machine) -> None:
    """Install it where that can be done; nothing but some faults of `make chaos` needs it."""
    if not library(machine) and apt.available(machine):
        with suppress(Failure):
            apt.install(machine, PACKAGE)
    if found := library(machine):
        terminal.done(NAME, f"for tests that set a process's clock, {found}")
    else:
        terminal.warning(NAME, "it is not there; tests leave the clocks as they are")


def library(machine: Machine) -> Path | None:
    """Find what a process is started with to see another time, if it is installed."""
    return next(machine.system.glob(LIBRARY), None)


def environment(library: Path, clock: Path) -> list[str]:
    """Return the variables of a process that goes by this file, in which "+60s" is a minute ahead.

    The file is read again each second. What passes of time stays true: loops and time-outs go by that.
    """
    return [
        f"LD_PRELOAD={library}",
        f"FAKETIME_TIMESTAMP_FILE={clock}",
        "FAKETIME_CACHE_DURATION=1",
        "FAKETIME_DONT_FAKE_MONOTONIC=1",
        # Python's threads hand over by waiting a few milliseconds; with the "fix" they would spin instead.
        "FAKETIME_FORCE_MONOTONIC_FIX=0",
    ]
