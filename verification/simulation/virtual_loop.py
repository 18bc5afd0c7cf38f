"""An event loop in virtual time: when nothing is ready it jumps to the next timer, and waits for nothing.

It has no sockets and no threads: what is handed to a thread runs in this one, as a task. Each callback belongs
to the process in whose context it was scheduled. Those of a dead process are set aside, so that nothing of it
ever runs again, not even a `finally`; those of a paused one wait until it resumes.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable
from contextvars import Context, ContextVar
from typing import Protocol, TypeVar, TypeVarTuple, cast

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Mortal(Protocol):
    """What may die, or be paused."""

    dead: bool
    is_paused: bool

    async def pause(self) -> None:
        """Wait for as long as a disk, or another thread, takes."""


class Crashed(BaseException):
    """The process ended in the middle of synchronous code: nothing catches this, and nothing follows it."""


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

    def __init__(self, max_steps: int = 2_000_000) -> None:
        super().__init__()
        self._seconds = 0.0
        self._max_steps = self._steps_left = max_steps
        self._aside: list[asyncio.Handle] = []
        self._paused: list[asyncio.Handle] = []
        self._is_clearing = False

    def time(self) -> float:
        """Return the virtual seconds since the loop was made."""
        return self._seconds

    def run_in_executor(
        self,
        executor: object,
        func: Callable[[*Ts], T],
        *args: *Ts,
    ) -> asyncio.Future[T]:
        """Run `func` in this thread, as a task of the process that calls; a dead one starts nothing."""
        process = owner.get()
        if process and process.dead:
            nothing: asyncio.Future[T] = self.create_future()
            nothing.cancel()
            return nothing
        # A thread goes on where its caller is cancelled, and what it committed stands.
        return asyncio.shield(
            self.create_task(_run_inline(process, lambda: func(*args)))
        )

    def clear(self) -> None:
        """Run what the dead have left to its end, now that nothing they do has any effect; then close."""
        self._is_clearing, self._steps_left = True, self._max_steps
        self._ready.extend([*self._aside, *self._paused])
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
        elif process and process.is_paused:
            self._paused.append(handle)
        else:
            handle._run()

    def resume(self) -> None:
        """Run what has become due of processes that were paused, all at once."""
        self._ready.extend(self._paused)
        self._paused.clear()

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


async def _run_inline(process: Mortal | None, call: Callable[[], T]) -> T:
    if process is None:
        return call()
    await process.pause()
    try:
        result = call()
    except Crashed:
        await asyncio.get_running_loop().create_future()
        raise
    # The loop's own thread may be busy with others while the result is there already.
    await process.pause()
    return result


def _owner_of(handle: asyncio.Handle) -> Mortal | None:
    context = cast("Context", getattr(handle, "_context"))  # noqa: B009 - unknown to the type checker
    return context.get(owner)
