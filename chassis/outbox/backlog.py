"""The limit to what may wait for the broker: past it, no more is promised."""

from dataclasses import dataclass, field

from fastapi import Depends, Request
from sqlalchemy import BindParameter, Select, bindparam, func, select

from chassis.database.unit_of_work import Database
from chassis.errors import Rejected
from chassis.outbox.outbox import State, outbox
from chassis.runtime import clock

COUNTED_EVERY = 1.0
"""How old a count may be, in seconds: to count for each request would be dear."""


class BacklogFull(Rejected):
    """Too many events wait for the broker; nothing was changed, try again later."""

    status = 503
    retry_after = 5


@dataclass
class Backlog:
    """Whether more than `limit` events wait to be published, as this process counted last."""

    database: Database
    limit: int
    _is_full: bool = False
    _counted_at: float = field(default=float("-inf"))

    async def check(self) -> None:
        """Raise BacklogFull where more events wait than may."""
        now = clock.monotonic()
        if now - self._counted_at >= COUNTED_EVERY:
            # Before the count: who comes meanwhile goes by the one before, and does not count as well.
            self._counted_at = now
            async with self.database.read() as session:
                waiting = await session.scalar(count(self.limit)) or 0
            self._is_full = waiting > self.limit
        if self._is_full:
            raise BacklogFull(
                f"More than {self.limit} events wait for the broker; try again in some seconds."
            )


def count(limit: int) -> Select[int]:
    """Count what waits for the broker, and stop counting past the limit."""
    # Written out: a database that does not know the values yet cannot choose the partial index.
    open_states: BindParameter[list[State]] = bindparam(
        "open", [State.PENDING, State.LEASED], expanding=True, literal_execute=True
    )
    waiting = select(outbox.c.position).where(outbox.c.state.in_(open_states))
    return select(func.count()).select_from(waiting.limit(limit + 1).subquery())


async def _check(request: Request) -> None:
    await request.app.state.backlog.check()


has_room = Depends(_check)
"""A route that lets events leave names this in its `dependencies`, and BacklogFull in its `responses`."""
