"""On PostgreSQL the oldest open transaction bounds the feed: an alert names one that stays open."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

from chassis.database import Database
from chassis.runtime import Loop, clock
from chassis.runtime.loop import nothing

_log = logging.getLogger(__name__)

ALERT_AFTER = 10.0
"""Seconds after which a high-water mark that hides events and does not move is no accident."""
INTERVAL = 5.0
"""Seconds between two looks."""

_XMIN = "pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
_HIDDEN = text(
    f"SELECT {_XMIN}, (SELECT count(*) FROM outbox WHERE transaction >= {_XMIN})"  # noqa: S608 - a constant
)
# Transactions are numbered across the whole cluster: one in any of its databases may hold the feed back.
_HOLDERS = text(
    "SELECT 'process ' || pid || ' of ' || coalesce(usename, '?') || ' in ' || datname"
    # What another role's process is called, and since when it runs, is not shown to everybody.
    " || coalesce(', ' || nullif(application_name, ''), '')"
    " || coalesce(', open for '"
    " || round(extract(epoch FROM clock_timestamp() - xact_start))::text || ' s', '')"
    " FROM pg_stat_activity WHERE backend_xid::text::bigint = :xid"
    " UNION ALL SELECT 'prepared transaction ' || gid || ' of ' || owner || ' in ' || database"
    " FROM pg_prepared_xacts WHERE transaction::text::bigint = :xid"
)
_WRAPS = 2**32


@dataclass
class LongTransactions:
    """Watches the feed's high-water mark; seconds are of `clock`."""

    database: Database
    clock: Callable[[], float] = clock.monotonic
    _xmin: int = -1
    _since: float = float("-inf")
    _alerted: bool = False

    def loop(self) -> Loop:
        """Return the loop that looks every INTERVAL seconds."""
        name = "long transactions"
        signal = self.database.signal(name)
        lock = self.database.lock_file("long-transactions")
        return Loop(name, self.step, nothing, signal, lock, interval=INTERVAL)

    async def step(self) -> bool:
        """Look once, and name the transaction that has hidden events for too long."""
        xmin, hidden = await self.database.read(_look)
        if self._moves(xmin, hidden):
            return False
        holders = await self.database.read(lambda session: _holders(session, xmin))
        self._alerted = True
        _log.error(
            "%d committed events cannot be pulled: a transaction has been open for more than %d s (%s); "
            "end it with pg_terminate_backend, or ROLLBACK PREPARED",
            hidden,
            ALERT_AFTER,
            holders or "not visible to this service's role: look as a superuser",
        )
        return False

    def _moves(self, xmin: int, hidden: int) -> bool:
        if not hidden or xmin != self._xmin:
            if self._alerted:
                _log.info("the feed's high-water mark moves again")
            self._xmin, self._since, self._alerted = xmin, self.clock(), False
        return self._alerted or self.clock() - self._since < ALERT_AFTER


def _look(session: Session) -> tuple[int, int]:
    xmin, hidden = session.execute(_HIDDEN).one()
    return xmin, hidden


def _holders(session: Session, xmin: int) -> str:
    return "; ".join(session.scalars(_HOLDERS, {"xid": xmin % _WRAPS}))
