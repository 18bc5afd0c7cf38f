"""Looks at what may not answer: each returns in time, with an answer or why there is none."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from chassis.http import health

T = TypeVar("T")


@dataclass
class Look(Generic[T]):
    """One question; while it is open, whoever asks waits for the same answer.

    So what hangs holds one thread and one connection, however many people look.
    """

    ask: Callable[[], Awaitable[T]]
    patience: float
    _open: asyncio.Task[T] | None = None

    async def __call__(self) -> tuple[T | None, str | None]:
        """Return the answer, or None and why there is none."""
        if self._open is None or self._open.done():
            self._open = asyncio.ensure_future(self.ask())
            # Where nobody waits for it any more, its error is nobody's.
            self._open.add_done_callback(
                lambda task: task.cancelled() or task.exception()
            )
        waiting = asyncio.shield(self._open)
        return await health.within(waiting, self.patience)
