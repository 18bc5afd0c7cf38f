"""A service's background work: one step again and again, woken by a signal, calm in trouble."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from chassis.runtime import clock
from chassis.runtime.lock import exclusive

_log = logging.getLogger(__name__)
_GRACE = 15.0
_T = TypeVar("_T")


@dataclass
class Loop:
    """One background loop of a service.

    `step` does one round and tells whether there may be more to do at once. `signal` wakes the loop, and
    `sweep` seconds without one do too: a signal is a hint, and may be lost. A step that raises is tried
    again after a backoff with jitter, `first_pause` seconds doubling up to `longest_pause`; trouble that
    lasts longer than `patience` seconds is said once. The loop runs
    while it holds `lock`, so two processes on one database file do not do the same work; `begin` runs
    once when it has it.
    """

    name: str
    step: Callable[[], Awaitable[bool]]
    begin: Callable[[], Awaitable[None]]
    signal: asyncio.Event
    lock: Path
    sweep: float = 1.0
    first_pause: float = 0.2
    longest_pause: float = 5.0
    patience: float = 0.0
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _failures: int = 0
    _failing_since: float = 0.0
    _has_said_so: bool = False
    _at_work: bool = False

    async def run(self) -> None:
        """Work until `stop`."""
        await self._until_it_succeeds(self._work)

    async def _work(self) -> None:
        async with exclusive(self.lock):
            self._at_work = True
            await self._until_it_succeeds(self.begin)
            while not self._stopping.is_set():
                self.signal.clear()
                if not await self._until_it_succeeds(self.step):
                    await self._wait(self.sweep)

    async def stop(self, task: asyncio.Task[None]) -> None:
        """Let the step in flight finish, begin no other, and cut it off where it takes too long."""
        self._stopping.set()
        self.signal.set()
        if self._at_work:
            await asyncio.wait([task], timeout=_GRACE)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def _until_it_succeeds(self, work: Callable[[], Awaitable[_T]]) -> _T | None:
        while not self._stopping.is_set():
            try:
                result = await work()
            except Exception as error:  # noqa: BLE001 - a loop outlives every fault; it says so and goes on
                self._failed(error)
                await self._pause()
            else:
                # What ends because it is told to has not succeeded.
                if not self._stopping.is_set():
                    self._succeeded()
                return result
        return None

    def _failed(self, error: Exception) -> None:
        self._failures += 1
        now = clock.monotonic()
        if self._failures == 1:
            self._failing_since = now
        if not self._has_said_so and now - self._failing_since >= self.patience:
            self._has_said_so = True
            _log.warning(
                "%s: %s; trying again until it works", self.name, _in_words(error)
            )

    def _succeeded(self) -> None:
        if self._has_said_so:
            _log.info(
                "%s: works again after %d failed attempts", self.name, self._failures
            )
        self._failures, self._has_said_so = 0, False

    async def _pause(self) -> None:
        longest = min(
            self.longest_pause, self.first_pause * 2 ** min(self._failures - 1, 10)
        )
        await _expires(self._stopping, clock.jitter(longest / 2, longest))

    async def _wait(self, seconds: float) -> None:
        await _expires(self.signal, seconds)


async def _expires(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)


def _in_words(error: Exception) -> str:
    return (
        f"{type(error).__name__}: {str(error).splitlines()[0]}"
        if str(error)
        else type(error).__name__
    )
