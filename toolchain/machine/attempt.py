"""How a program of the toolchain ends: ready, failed with a clear word, or stopped by the user."""

from collections.abc import Callable

from toolchain.machine import say
from toolchain.machine.failure import Failure


def attempt(work: Callable[[], None]) -> int:
    """Do the work and return the exit code; what went wrong is said calmly, without a traceback."""
    try:
        work()
    except Failure as failure:
        say.failed(failure)
        return 1
    except KeyboardInterrupt:
        say.plainly("\n  stopped; run it again to go on where it stopped")
        return 130
    except OSError as error:
        say.failed(_of_the_system(error))
        return 1
    return 0


def _of_the_system(error: OSError) -> Failure:
    return Failure(
        f"The system refused: {error.filename or 'a file or connection'}",
        error.strerror or str(error),
        "Make room or correct the rights there, then run it again to go on where it stopped.",
    )
