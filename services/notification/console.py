"""The console channel: mark what is ready as SENT, and print its lines after the commit, at most once."""

import asyncio
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter

from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import Session

from chassis.cloud_event import Cause
from chassis.database import Database
from chassis.outbox import append
from chassis.runtime import Loop, clock
from chassis.runtime.loop import nothing
from contracts.notification_sent import NotificationSent
from services.notification.model import (
    IS_OPEN,
    Channel,
    Notification,
    State,
    signal_of,
    text_of,
)

_log = logging.getLogger(__name__)

BATCH = 100
"""Notifications in one transaction."""
GATHERING = 0.01
"""Seconds that a console under load waits for company: each transaction has its price."""

_ready = (
    select(Notification.id)
    .where(Notification.channel == Channel.CONSOLE, IS_OPEN)
    .where(Notification.state == State.READY)
    .order_by(Notification.due_at, Notification.id)
    .limit(BATCH)
    .with_for_update(skip_locked=True)
    .cte("ready")
)
_MARK_SENT = (
    update(Notification)
    .where(Notification.id.in_(select(_ready.c.id)))
    .values(
        state=State.SENT,
        sent_at=bindparam("now"),
        attempt=Notification.attempt + 1,
        due_at=None,
        reason=None,
        version=Notification.version + 1,
    )
    .returning(
        Notification.id,
        Notification.order_id,
        Notification.customer_name,
        Notification.created_at,
        Notification.trace,
        Notification.caused_by,
        Notification.version,
    )
)


@dataclass
class Console:
    """Prints the notifications of customers who left no e-mail address."""

    database: Database

    def loop(self) -> Loop:
        """Return the loop that keeps printing."""
        signal = self.database.signal(signal_of(Channel.CONSOLE))
        lock = self.database.lock_file("console")
        return Loop("console", self.step, nothing, signal, lock)

    async def step(self) -> bool:
        """Print one batch; return whether it was full, so that there may be more."""
        lines = await self.database.write(send_batch)
        await show(lines)
        is_full = len(lines) == BATCH
        if len(lines) > 1 and not is_full:
            await asyncio.sleep(GATHERING)
        return is_full


def send_batch(session: Session) -> list[str]:
    """Mark the next batch as SENT, append an event for each, and return their lines."""
    now = clock.now()
    # Past the session, which would look for mapped objects to update.
    sent = session.connection().execute(_MARK_SENT, {"now": now})
    lines = []
    for each in sorted(sent, key=attrgetter("id")):
        order_id, cause = each.order_id, Cause(each.trace, each.caused_by)
        event = NotificationSent(
            order_id=order_id, channel=Channel.CONSOLE, sent_at=now
        )
        append(session, event, subject=order_id, cause=cause, version=each.version)
        lines.append(text_of(order_id, each.customer_name, each.created_at))
    return lines


async def show(lines: Sequence[str]) -> None:
    """Print lines on a thread: a full pipe holds up neither the event loop nor the database."""
    if lines:
        await asyncio.to_thread(_print, lines)


def _print(lines: Sequence[str]) -> None:
    try:
        sys.stdout.write("".join(f"{line}\n" for line in lines))
        sys.stdout.flush()
    except (OSError, ValueError):  # a closed file is a ValueError
        _log.exception("%d lines of sent notifications were not printed", len(lines))
