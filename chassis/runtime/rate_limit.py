"""How a command works through many items: at a rate, until it is stopped."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from chassis.runtime import clock

STOPPED = 128 + signal.SIGINT
"""The exit status of an interrupted command."""

T = TypeVar("T")


def positive(given: str) -> float:
    """Return the number above 0 that an option names; argparse reports a ValueError."""
    number = float(given)
    if not number > 0:
        raise ValueError
    return number


@contextmanager
def stop_on_signal() -> Iterator[asyncio.Event]:
    """Yield the event that Ctrl-C or SIGTERM sets; the item in flight is finished first."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)
    for each in signals:
        loop.add_signal_handler(each, stop.set)
    try:
        yield stop
    finally:
        for each in signals:
            loop.remove_signal_handler(each)


async def at_rate(
    items: Iterable[T], rate: float, stop: asyncio.Event
) -> AsyncIterator[T]:
    """Yield at most `rate` items a second, until `stop` is set."""
    due = clock.monotonic()
    for each in items:
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), max(0.0, due - clock.monotonic()))
        if stop.is_set():
            return
        due = clock.monotonic() + 1 / rate
        yield each
