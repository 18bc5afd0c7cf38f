"""The backlog limit: past so many events that wait for the broker, commands are refused."""

from dataclasses import dataclass, field

from sqlalchemy import Select, func, select

from chassis.database import Database
from chassis.errors import Rejected
from chassis.outbox.outbox import is_open, outbox
from chassis.runtime import clock

COUNT_INTERVAL = 1.0
"""How old a count may be, in seconds: counting for each request would be expensive."""


class BacklogFull(Rejected):
    """Too many events wait for the broker; nothing was changed, try again later."""

    status = 503
    retry_after = 5


@dataclass
class Backlog:
    """Whether more than `limit` events wait to be published, by this process's latest count."""

    database: Database
    limit: int
    _is_full: bool = False
    _counted_at: float = field(default=float("-inf"))

    async def check(self, until: float | None = None) -> None:
        """Raise BacklogFull where too many events wait; NoAnswer where the database does not say it until then."""
        now = clock.monotonic()
        if now - self._counted_at >= COUNT_INTERVAL:
            # Before the count: requests meanwhile rely on the one before, and do not count as well.
            self._counted_at = now
            waiting = await self.database.read(
                lambda session: session.scalar(count(self.limit)) or 0, until
            )
            self._is_full = waiting > self.limit
        if self._is_full:
            raise BacklogFull(
                f"More than {self.limit} events wait for the broker; try again in some seconds."
            )


def count(limit: int) -> Select[int]:
    """Return the query that counts what waits for the broker, up to just past the limit."""
    waiting = select(outbox.c.position).where(is_open).limit(limit + 1)
    return select(func.count()).select_from(waiting.subquery())
