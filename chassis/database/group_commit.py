"""Group commit: units of work that wait for a writer share one transaction, and its one commit.

While one group commits, the next one gathers; a unit that finds the writer free does not wait for company. Every
answer is made from the run that committed, and none leaves before. Where a unit raises before COMMIT, everything
is rolled back, the others run again in their order, and it runs once more, alone: its error is its own then. A
COMMIT that fails has an unknown outcome: every unit of the group raises it, and none is run again.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, TypeVar

from sqlalchemy.orm import Session

from chassis.database.hooks import Act, run_batches
from chassis.database.transient import (
    CommitFailed,
    NoAnswer,
    is_conflict,
    is_unavailable,
)
from chassis.runtime import metrics

T = TypeVar("T")

MAX_GROUP = 50
"""Units in one transaction."""
LONGEST = 0.02
"""Seconds after which a transaction takes no further unit: on PostgreSQL the longest holds up the feed."""


@dataclass(eq=False)
class QueuedUnit:
    """One unit of work that waits for its commit, with what its session's hooks leave to do after it."""

    work: Callable[[Session], Any]
    lane: str
    future: "asyncio.Future[Any]"
    context: Context = field(default_factory=copy_context)
    acts: list[Act] = field(default_factory=list)
    woken: dict[str, list[Act]] = field(default_factory=dict)
    result: Any = None
    error: Exception | None = None

    def run(self, session: Session) -> None:
        """Run it, forgetting what an earlier run left."""
        self.acts, self.woken = [], {}
        session.info["after_commit"] = self.acts
        session.info["woken"] = self.woken
        self.result = self.context.run(without_stop_iteration, self.work, session)


def without_stop_iteration(work: Callable[[Session], T], session: Session) -> T:
    """Run a unit of work; no future takes a StopIteration, so one becomes a RuntimeError."""
    try:
        return work(session)
    except StopIteration as error:
        raise RuntimeError("a handler raised StopIteration") from error


class _UnitFailed(Exception):
    def __init__(self, unit: QueuedUnit, error: Exception) -> None:
        super().__init__()
        self.unit = unit
        self.error = error


class GroupCommit:
    """Runs units on `threads`, at most `writers` transactions at a time.

    Units of one lane share transactions, those of the lane "" do not; lanes take turns, and are never mixed in
    one. `committed` is called on the event loop with each unit that is committed.
    """

    def __init__(
        self,
        transaction: Callable[[], AbstractContextManager[Session]],
        threads: ThreadPoolExecutor,
        writers: int,
        committed: Callable[[QueuedUnit], None],
    ) -> None:
        self._begin = transaction
        self._threads = threads
        self._writers = writers
        self._committed = committed
        self._lanes: dict[str, deque[QueuedUnit]] = {}
        self._busy = 0
        self._draining: set[asyncio.Task[None]] = set()

    def add(self, unit: QueuedUnit) -> None:
        """Queue a unit for its transaction."""
        self._lanes.setdefault(unit.lane, deque()).append(unit)
        if self._busy < self._writers:
            self._busy += 1
            task = asyncio.create_task(self._drain())
            self._draining.add(task)
            task.add_done_callback(self._draining.discard)

    def waiting(self, lane: str) -> int:
        """Return how many units of a lane wait."""
        return len(self._lanes.get(lane, ()))

    def give_up(self, unit: QueuedUnit) -> None:
        """Answer a unit that is waited for no longer; one that has not begun never does."""
        if unit.future.done():
            return
        if unit in self._lanes.get(unit.lane, ()):
            self._lanes[unit.lane].remove(unit)
            unit.future.set_exception(NoAnswer())
        else:
            unit.future.set_exception(CommitFailed("it takes too long"))

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while group := self._take():
                await self._commit_group(loop, group)
                for unit in group:
                    self._answer(unit)
        finally:
            # At once, not when the task is done: whoever adds a unit in between would wait for nobody.
            self._busy -= 1

    async def _commit_group(
        self, loop: asyncio.AbstractEventLoop, group: Sequence[QueuedUnit]
    ) -> None:
        context = group[0].context.copy()
        try:
            await loop.run_in_executor(self._threads, context.run, self._run, group)
        except Exception as error:  # noqa: BLE001 - the threads have ended: whoever waits must not wait for ever
            _fail(group, error)

    def _take(self) -> list[QueuedUnit]:
        if not self._lanes:
            return []
        name = next(iter(self._lanes))
        waiting = self._lanes.pop(name)
        most = MAX_GROUP if name else 1
        group = [waiting.popleft() for _ in range(min(most, len(waiting)))]
        if waiting:
            self._lanes[name] = waiting  # the last in turn now
        return group

    def _answer(self, unit: QueuedUnit) -> None:
        if unit.error is None:
            self._committed(unit)
        if unit.future.done():  # whoever waited was cancelled meanwhile
            return
        if unit.error is None:
            unit.future.set_result(unit.result)
        else:
            unit.future.set_exception(unit.error)

    def _run(self, group: Sequence[QueuedUnit]) -> None:
        try:
            done = self._transaction(group)
        except _UnitFailed as failed:
            self._without(group, failed)
        except Exception as error:  # noqa: BLE001 - the flush of all of them failed: bisect to find the unit
            self._halve(group, error)
        else:
            self._rest(group[done:])

    def _rest(self, group: Sequence[QueuedUnit]) -> None:
        if group:
            self._run(group)

    def _without(self, group: Sequence[QueuedUnit], failed: _UnitFailed) -> None:
        if len(group) == 1 or _is_outage(failed.error):
            _fail(group, failed.error)
            return
        self._run([unit for unit in group if unit is not failed.unit])
        self._run([failed.unit])

    def _halve(self, group: Sequence[QueuedUnit], error: Exception) -> None:
        if len(group) == 1 or _is_outage(error):
            _fail(group, error)
            return
        middle = len(group) // 2
        self._run(group[:middle])
        self._run(group[middle:])

    def _transaction(self, group: Sequence[QueuedUnit]) -> int:
        began = perf_counter()
        with self._begin() as session:
            done = 0
            for unit in group:
                try:
                    unit.run(session)
                except Exception as error:
                    raise _UnitFailed(unit, error) from error
                done += 1
                if perf_counter() - began > LONGEST:
                    break
            run_batches(session)
            self._commit(session, group[:done])
        metrics.of(metrics.GROUPS, group[0].lane).observe(done)
        metrics.of(metrics.COMMITS, group[0].lane).observe(perf_counter() - began)
        return done

    @staticmethod
    def _commit(session: Session, group: Sequence[QueuedUnit]) -> None:
        try:
            session.connection().commit()
        except Exception as error:  # noqa: BLE001 - its outcome is unknown: nothing of it is run again
            # SQLite keeps the transaction open: with its connection it ends for certain.
            session.invalidate()
            is_own = len(group) == 1 and not _is_outage(error)
            for unit in group:
                unit.error = error if is_own else CommitFailed(str(error))


def _is_outage(error: Exception) -> bool:
    # It is no unit's own error: each one run again would wait for the database again, one after the other.
    return is_unavailable(error) and not is_conflict(error)


def _fail(group: Sequence[QueuedUnit], error: Exception) -> None:
    for unit in group:
        unit.error = error
