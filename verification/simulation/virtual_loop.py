"""An event loop in virtual time: when nothing is ready it jumps to the next timer, and waits for nothing.

It has no sockets and no threads. Each callback belongs to the process in whose context it was scheduled; what
belongs to a dead one is put aside, so that nothing of it ever runs again, be it a `finally`; what belongs to
one that is held still waits until it goes on.
"""

import asyncio
import heapq
from collections import deque
from contextvars import Context, ContextVar
from typing import Protocol, cast


class Mortal(Protocol):
    """What may die, or be held still."""

    dead: bool
    is_held: bool


owner: ContextVar[Mortal | None] = ContextVar("owner", default=None)
"""The process that a callback belongs to; what belongs to none is the world outside."""


class Deadlock(Exception):
    """Nothing is ready, nothing is scheduled, and the run is not over."""


class TooLong(Exception):
    """The run has taken more steps than any run should."""


class VirtualLoop(asyncio.BaseEventLoop):
    """A loop whose `time()` is the sum of what was waited for."""

    _ready: deque[asyncio.Handle]
    _scheduled: list[asyncio.TimerHandle]

    def __init__(self, most_steps: int = 2_000_000) -> None:
        super().__init__()
        self._seconds = 0.0
        self._steps_left = most_steps
        self._aside: list[asyncio.Handle] = []
        self._held: list[asyncio.Handle] = []
        self._is_clearing = False

    def time(self) -> float:
        """Give the virtual seconds since the loop was made."""
        return self._seconds

    def clear(self) -> None:
        """Let the dead come to their ends, now that nothing they do has any effect; then close."""
        self._is_clearing = True
        self._ready.extend([*self._aside, *self._held])
        tasks = sorted(asyncio.all_tasks(self), key=lambda task: task.get_name())
        for task in tasks:
            task.cancel()
        if tasks:
            self.run_until_complete(asyncio.wait(tasks))
        self.run_until_complete(self.shutdown_asyncgens())
        self.close()

    def _run_once(self) -> None:
        self._steps_left -= 1
        if self._steps_left < 0:
            raise TooLong
        if not self._ready:
            self._jump()
        for _ in range(len(self._ready)):
            handle = self._ready.popleft()
            if not handle.cancelled():
                self._run_or_keep(handle)

    def _run_or_keep(self, handle: asyncio.Handle) -> None:
        process = None if self._is_clearing else _owner_of(handle)
        if process and process.dead:
            self._aside.append(handle)
        elif process and process.is_held:
            self._held.append(handle)
        else:
            handle._run()

    def go_on(self) -> None:
        """Let those that are held still no more do what has become due meanwhile, all at once."""
        self._ready.extend(self._held)
        self._held.clear()

    def _jump(self) -> None:
        while self._scheduled and self._scheduled[0].cancelled():
            heapq.heappop(self._scheduled)
        if not self._scheduled:
            raise Deadlock
        self._seconds = max(self._seconds, self._scheduled[0].when())
        while self._scheduled and self._scheduled[0].when() <= self._seconds:
            self._ready.append(heapq.heappop(self._scheduled))

    def _process_events(self, event_list: list[object]) -> None:
        """Do nothing: there are no files or sockets."""

    def _write_to_self(self) -> None:
        """Do nothing: there is no other thread."""


def _owner_of(handle: asyncio.Handle) -> Mortal | None:
    context = cast("Context", getattr(handle, "_context"))  # noqa: B009 - unknown to the type checker
    return context.get(owner)
