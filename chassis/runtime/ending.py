"""What is done at once when the process is asked to end, while the server still waits for its requests."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

Act = Callable[[], None]


@contextmanager
def when_asked_to_end(act: Act) -> Iterator[None]:
    """Do this on the event loop when the process is asked to end, before the server's own answer to that."""
    loop = asyncio.get_running_loop()
    restore = [_chain(each, loop, act) for each in (signal.SIGTERM, signal.SIGINT)]
    try:
        yield
    finally:
        for each in restore:
            each()


def _chain(number: signal.Signals, loop: asyncio.AbstractEventLoop, act: Act) -> Act:
    before = signal.getsignal(number)

    def handle(received: int, frame: FrameType | None) -> None:
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(act)
        if callable(before):
            before(received, frame)

    def restore() -> None:
        if signal.getsignal(number) is handle:
            signal.signal(number, before)

    # Only beside the server's own: a process without one is to end by the signal.
    with suppress(ValueError):  # not in the main thread, where a server in a test runs
        if callable(before):
            signal.signal(number, handle)
    return restore
