"""How a command goes through many, one after the other: so many a second, until it is told to stop."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from chassis.runtime import clock

STOPPED = 128 + signal.SIGINT
"""The exit status of what was interrupted."""

T = TypeVar("T")


@contextmanager
def interrupted() -> Iterator[asyncio.Event]:
    """Give the event that Ctrl-C sets: what is under way comes to its end first."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)
    for each in signals:
        loop.add_signal_handler(each, stop.set)
    try:
        yield stop
    finally:
        for each in signals:
            loop.remove_signal_handler(each)


async def at_a_rate(
    many: AsyncIterator[T], rate: float, stop: asyncio.Event
) -> AsyncIterator[T]:
    """Give so many a second, until it is to stop."""
    due = clock.monotonic()
    async for each in many:
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), max(0.0, due - clock.monotonic()))
        if stop.is_set():
            return
        due = clock.monotonic() + 1 / rate
        yield each
