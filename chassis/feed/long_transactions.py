"""On PostgreSQL, the oldest open transaction bounds the feed: one that stands still is found and named."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.database.unit_of_work import Database
from chassis.runtime import clock
from chassis.runtime.loop import Loop

_log = logging.getLogger(__name__)

STANDS_STILL = 10.0
"""Seconds after which a bound that holds events back is no accident."""
LOOK = 5.0
"""Seconds between two looks."""

_BOUND = text(
    "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS bound,"
    " (SELECT count(*) FROM outbox"
    " WHERE transaction >= pg_snapshot_xmin(pg_current_snapshot())::text::bigint) AS waiting"
)
# Transactions are numbered across the whole cluster: any of its databases may hold the feed up.
_HOLDER = text(
    "SELECT 'process ' || pid || ' of ' || coalesce(usename, '?') || ' in ' || datname"
    # What another role's process is called, and since when it is at it, is not shown to everybody.
    " || coalesce(', ' || nullif(application_name, ''), '')"
    " || coalesce(', open for '"
    " || round(extract(epoch FROM clock_timestamp() - xact_start))::text || ' s', '')"
    " FROM pg_stat_activity WHERE backend_xid::text::bigint = :xid"
    " UNION ALL SELECT 'prepared transaction ' || gid || ' of ' || owner || ' in ' || database"
    " FROM pg_prepared_xacts WHERE transaction::text::bigint = :xid"
)
_WRAPS = 2**32


@dataclass
class FeedBound:
    """Watches how far the feed may be read; seconds are of `clock`."""

    database: Database
    clock: Callable[[], float] = clock.monotonic
    _bound: int = -1
    _since: float = float("-inf")
    _has_said_so: bool = False

    def loop(self) -> Loop:
        """Make the loop that looks every LOOK seconds."""
        name = "watch over the feed's bound"
        signal = self.database.signal(name)
        lock = self.database.lock_file("feed-bound")
        return Loop(name, self.step, self._begin, signal, lock, sweep=LOOK)

    async def _begin(self) -> None:
        """Begin with nothing."""

    async def step(self) -> bool:
        """Look once, and say which transaction holds events back for too long."""
        async with self.database.read() as session:
            seen = (await session.execute(_BOUND)).one()
            if self._moves(seen):
                return False
            holder = await _holder(session, seen.bound)
        self._has_said_so = True
        _log.error(
            "%d events are committed and cannot be pulled: a transaction is open for more than %d s (%s); "
            "end it with pg_terminate_backend, or ROLLBACK PREPARED",
            seen.waiting,
            STANDS_STILL,
            holder or "not visible to this service's role: look as a superuser",
        )
        return False

    def _moves(self, seen: Row[tuple[int, int]]) -> bool:
        if not seen.waiting or seen.bound != self._bound:
            if self._has_said_so:
                _log.info("the feed moves on")
            self._bound, self._since = seen.bound, self.clock()
            self._has_said_so = False
        return self._has_said_so or self.clock() - self._since < STANDS_STILL


async def _holder(session: AsyncSession, bound: int) -> str:
    found = await session.scalars(_HOLDER, {"xid": bound % _WRAPS})
    return "; ".join(found)
