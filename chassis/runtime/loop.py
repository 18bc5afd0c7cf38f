"""A service's background loop: one step again and again, woken by a signal, backing off on errors."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from chassis.runtime import clock, metrics
from chassis.runtime.lock import exclusive

_log = logging.getLogger(__name__)
_GRACE = 15.0
_AWAY = "waits for the database, and tries again (docs/runbooks.md#databasedown)"
_MOST_KINDS = 20
"""Kinds of errors that are logged until the next success: a message may differ each time."""
_T = TypeVar("_T")


async def nothing() -> None:
    """Start with nothing: the `start` of a loop whose whole state is in the database."""


@dataclass(frozen=True)
class LoopStatus:
    """What a loop is doing, and its newest error, which may be over; times are in seconds."""

    name: str
    # Whether it has its lock; until then it waits for another process to end.
    has_lock: bool
    failures: int
    failing_for: float
    in_step_for: float
    error: str | None
    error_at: datetime | None


@dataclass
class Loop:
    """One background loop of a service.

    `step` does one round and returns whether there may be more to do at once. `signal` wakes the loop, and so
    do `interval` seconds without one: a signal is a hint, and may be lost. A step that raises is retried after
    a backoff with jitter, `first_pause` seconds doubling up to `longest_pause`; errors that last longer than
    `log_after` seconds are logged, a new kind with its traceback. The loop runs while it holds `lock`, so that
    two processes on one database file do not share the work by accident; `start` runs once when it has it, and
    `finish` once when the loop stops.
    """

    name: str
    step: Callable[[], Awaitable[bool]]
    start: Callable[[], Awaitable[None]]
    signal: asyncio.Event
    lock: Path
    interval: float = 1.0
    first_pause: float = 0.2
    longest_pause: float = 5.0
    log_after: float = 0.0
    expected: tuple[type[Exception], ...] = ()
    """Errors that a message explains; all others are logged with their traceback."""
    is_database_away: Callable[[Exception], bool] = lambda _error: False
    """Whether an error says no more than that the database does not answer now: one line, with what to do."""
    finish: Callable[[], Awaitable[None]] = nothing
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _failures: int = 0
    _failing_since: float = 0.0
    _logged: set[tuple[type[Exception], str]] = field(default_factory=set)
    _working: bool = False
    _step_began: float | None = None
    _error: str | None = None
    _error_at: datetime | None = None

    def status(self) -> LoopStatus:
        """Return what it is doing."""
        now = clock.monotonic()
        return LoopStatus(
            name=self.name,
            has_lock=self._working,
            failures=self._failures,
            failing_for=now - self._failing_since if self._failures else 0.0,
            in_step_for=now - (self._step_began or now) if self._working else 0.0,
            error=self._error,
            error_at=self._error_at,
        )

    async def run(self) -> None:
        """Work until `stop`."""
        await self._until_it_succeeds(self._work)

    async def _work(self) -> None:
        async with exclusive(self.lock):
            self._working = True
            await self._until_it_succeeds(self.start)
            while not self._stopping.is_set():
                self.signal.clear()
                if not await self._until_it_succeeds(self._one_step):
                    await _expires(self.signal, self.interval)
            await self.finish()

    async def _one_step(self) -> bool:
        self._step_began = clock.monotonic()
        try:
            return await self.step()
        finally:
            self._step_began = None

    async def stop(self, task: asyncio.Task[None]) -> None:
        """Finish the step in flight, start no other, and cut it off where it takes too long."""
        self._stopping.set()
        self.signal.set()
        if self._working:
            await asyncio.wait([task], timeout=_GRACE)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def _until_it_succeeds(self, work: Callable[[], Awaitable[_T]]) -> _T | None:
        while not self._stopping.is_set():
            try:
                result = await work()
            except Exception as error:  # noqa: BLE001 - a loop outlives every error; it logs and goes on
                self._failed(error)
                await self._pause()
            else:
                # A step that returned because the loop stops has proven nothing.
                if not self._stopping.is_set():
                    self._succeeded()
                return result
        return None

    def _failed(self, error: Exception) -> None:
        self._failures += 1
        metrics.LOOP_FAILURES.labels(self.name).inc()
        now = clock.monotonic()
        if self._failures == 1:
            self._failing_since = now
        kind = (type(error), _first_line(error))
        self._error, self._error_at = f"{kind[0].__name__}: {kind[1]}", clock.now()
        is_due = now - self._failing_since >= self.log_after
        if is_due and kind not in self._logged and len(self._logged) < _MOST_KINDS:
            self._logged.add(kind)
            is_away = self.is_database_away(error)
            trace = None if is_away or isinstance(error, self.expected) else error
            text = f"%s {_AWAY if is_away else 'failed, retrying'}: %s: %s"
            _log.warning(text, self.name, kind[0].__name__, kind[1], exc_info=trace)

    def _succeeded(self) -> None:
        metrics.of(metrics.LOOP_SUCCESS, self.name).set(clock.now().timestamp())
        if self._logged:
            _log.info("%s recovered after %d failures", self.name, self._failures)
        self._failures = 0
        self._logged.clear()

    async def _pause(self) -> None:
        doubled = self.first_pause * 2 ** min(self._failures - 1, 10)
        longest = min(self.longest_pause, doubled)
        await _expires(self._stopping, clock.jitter(longest / 2, longest))


async def _expires(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0]
