"""Many runs at once, one on each core."""

import gc
import multiprocessing
from collections.abc import Iterator, Sequence

from verification.simulation.run import Result, run
from verification.simulation.schedule import Schedule

CHUNK, TASKS = 4, 75
"""Schedules that a process takes at once, and how often it does until another takes its place."""


def on_all_cores(
    schedules: Sequence[Schedule], processes: int | None = None
) -> Iterator[Result]:
    """Run these schedules, in so many processes; yield the result of each, in their order."""
    # Each process starts from nothing: nothing of this one is in it. And it ends in time: what libraries keep of
    # each run grows, to a gigabyte after some thousand, and makes the next ones slower.
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes, initializer=_begin, maxtasksperchild=TASKS) as pool:
        yield from pool.imap(run, schedules, chunksize=CHUNK)


def _begin() -> None:
    gc.freeze()  # what is imported stays, and need not be looked at after each run
