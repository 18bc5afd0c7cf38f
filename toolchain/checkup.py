"""Examine this project, and what of it runs, as OFFSET, BROKER, DATABASE and MAIL choose it: `make doctor`."""

import sys
from collections.abc import Sequence

from toolchain import run
from toolchain.doctor import command, system
from toolchain.machine import terminal, this_machine
from toolchain.machine.failure import Failure


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what is wrong with this project; return the exit status."""
    chosen = command.options(__doc__).parse_args(arguments)
    machine = this_machine()
    try:
        ours = run.chosen()
    except Failure as failure:
        terminal.failed(failure.what, failure.why, failure.remedy)
        return command.COULD_NOT_RUN
    environment = {**ours.addresses(), **machine.environment}
    return command.examine(system.read(ours, environment), machine, chosen)


if __name__ == "__main__":
    sys.exit(main())
