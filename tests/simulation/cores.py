"""Many runs at once, one on each core."""

import gc
import multiprocessing
from collections.abc import Iterator

from tests.simulation.run import Result, run
from tests.simulation.schedule import schedule


def on_all_cores(seeds: range) -> Iterator[Result]:
    """Run the schedules of these seeds; give what became of each, in their order."""
    # Each process is begun anew: nothing of this one is in them.
    with multiprocessing.get_context("spawn").Pool(initializer=_begin) as pool:
        yield from pool.imap(_run, seeds, chunksize=4)


def _begin() -> None:
    gc.freeze()  # what is imported stays, and need not be looked at after each run


def _run(seed: int) -> Result:
    return run(schedule(seed))
