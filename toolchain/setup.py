"""Set up a bare machine, or what is missing on it: `python3 -m toolchain.setup`.

With --if-needed, on a machine that was set up before, only what takes time is printed. With --for-tests, all
that the tests need is set up: every broker.
"""

from __future__ import (
    annotations,
)  # An old Python must get far enough to be told that it is too old.

import signal
import sys

NEEDED = (3, 11)


def main() -> int:
    """Run set-up; return what the shell gets: 0 ready, 1 failed, 130 stopped."""
    refuse_old_python(tuple(sys.version_info[:2]))
    from toolchain import machine, steps  # noqa: PLC0415 - an older Python cannot even read these
    from toolchain.machine import failure, terminal  # noqa: PLC0415

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    here = machine.this_machine()
    if "--if-needed" in sys.argv and steps.was_set_up(here):
        terminal.only_what_takes_time()
    return failure.exit_status(
        lambda: steps.set_up(here, for_tests="--for-tests" in sys.argv)
    )


def refuse_old_python(version: tuple[int, ...]) -> None:
    """Exit with the remedy where Python is too old."""
    if version >= NEEDED:
        return
    has, needs = (".".join(map(str, numbers)) for numbers in (version, NEEDED))
    sys.exit(
        f"Set-up needs Python {needs} or newer, and this one ({sys.executable}) is {has}.\n"
        "Install it (Debian, Ubuntu: sudo apt-get install python3 python3-venv), then type:\n"
        f"  python{needs} -m toolchain.setup"
    )


if __name__ == "__main__":
    sys.exit(main())
