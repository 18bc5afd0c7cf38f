"""A failure that the reader can act on, and how a program of the tool chain ends with one."""

from collections.abc import Callable
from dataclasses import dataclass

from toolchain.machine import terminal

EX_CONFIG = 78
"""Exit status for a configuration error (sysexits.h)."""


# An exception is compared by identity, and Python itself sets its traceback: not frozen.
@dataclass(eq=False)
class Failure(Exception):
    """What failed, why, and what to do about it; programs print it without a traceback and end with `status`."""

    what: str
    why: str
    remedy: str
    status: int = 1

    def __str__(self) -> str:
        """Return the three in one text, for logs and tests."""
        return f"{self.what}: {self.why}\n{self.remedy}"


def exit_status(work: Callable[[], None]) -> int:
    """Do the work and return the program's exit status; print what went wrong without a traceback."""
    try:
        work()
    except Failure as failure:
        terminal.failed(failure.what, failure.why, failure.remedy)
        return failure.status
    except KeyboardInterrupt:
        terminal.plainly("\n  stopped; run it again to go on where it stopped")
        return 130
    except OSError as error:
        terminal.failed(
            f"The system refused: {error.filename or 'a file or connection'}",
            error.strerror or str(error),
            "Make room or correct the rights there, then run it again to go on where it stopped.",
        )
        return 1
    return 0
