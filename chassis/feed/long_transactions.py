"""On PostgreSQL the oldest open transaction bounds the feed: an alert names one that stays open."""

import logging
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from chassis.database import Database
from chassis.feed.feed import open_feed
from chassis.runtime import Loop, clock
from chassis.runtime.loop import nothing

_log = logging.getLogger(__name__)

ALERT_AFTER = timedelta(seconds=30)
"""How old an event is that should be visible by now."""
INTERVAL = 30.0
"""Seconds between two looks."""

_XMIN = "pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
_HIDDEN = text(
    f"SELECT {_XMIN}, count(*) FROM outbox WHERE transaction >= {_XMIN} AND created_at < :old"  # noqa: S608 - a constant
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
    """Looks for events that are committed, and hidden for too long; logs why, as long as that is so."""

    database: Database

    def loop(self) -> Loop:
        """Return the loop that looks every INTERVAL seconds."""
        name = "long transactions"
        signal = self.database.signal(name)
        lock = self.database.lock_file("long-transactions")
        return Loop(name, self.step, nothing, signal, lock, interval=INTERVAL)

    async def step(self) -> bool:
        """Look once."""
        # What was restored while the service runs is hidden too, and no transaction is to blame for it.
        await open_feed(self.database)
        hidden, holders = await self.database.read(find_hidden)
        if hidden:
            _log.error(
                "%d committed events cannot be pulled: a transaction has been open for more than %d s (%s); "
                "end it with pg_terminate_backend, or ROLLBACK PREPARED",
                hidden,
                ALERT_AFTER.total_seconds(),
                holders or "not visible to this service's role: look as a superuser",
            )
        return False


def find_hidden(session: Session) -> tuple[int, str]:
    """Return how many events are hidden for too long, and which transactions hide them."""
    old = clock.now() - ALERT_AFTER
    xmin, hidden = session.execute(_HIDDEN, {"old": old}).one()
    return hidden, "; ".join(session.scalars(_HOLDERS, {"xid": xmin % _WRAPS}))
