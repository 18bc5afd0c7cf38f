"""A browser, for the tests of the pages: Debian's Chromium."""

from contextlib import suppress
from pathlib import Path

from toolchain.machine import Machine, apt, terminal
from toolchain.machine.failure import Failure
from toolchain.machine.machine import find

NAME = PACKAGE = "chromium"


def prepare(machine: Machine) -> None:
    """Install it where that can be done; nothing but the tests of the pages needs it."""
    if not browser(machine) and apt.available(machine):
        with suppress(Failure):
            apt.install(machine, PACKAGE)
    if found := browser(machine):
        terminal.done(NAME, f"for tests of the pages, {found}")
    else:
        terminal.warning(NAME, "it is not there; tests that need a browser are skipped")


def browser(machine: Machine) -> Path | None:
    """Find the browser, if it is installed."""
    return find(machine, NAME)
