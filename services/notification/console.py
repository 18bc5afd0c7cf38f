"""The console channel: mark what is ready as SENT, and print its lines after the commit, at most once."""

import asyncio
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from chassis.database import Database
from chassis.runtime import Loop, clock
from chassis.runtime.loop import nothing
from services.notification import outcomes
from services.notification.model import (
    IS_OPEN,
    Channel,
    Notification,
    State,
    signal_of,
)

_log = logging.getLogger(__name__)

BATCH = 100


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
        """Print one batch; return whether there was any."""
        lines = await self.database.write(send_batch)
        await show(lines)
        return bool(lines)


def send_batch(session: Session) -> list[str]:
    """Mark the next batch as SENT, and return its lines."""
    ready = (
        select(Notification.id)
        .where(Notification.channel == Channel.CONSOLE, IS_OPEN)
        .where(Notification.state == State.READY)
        .order_by(Notification.due_at, Notification.id)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
        .cte("ready")
    )
    batch = Notification.id.in_(select(ready.c.id))
    once_more = Notification.attempt + 1
    sent = outcomes.mark(
        session, batch, State.SENT, sent_at=clock.now(), attempt=once_more
    )
    return [each.text for each in sorted(sent, key=lambda each: each.id)]


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
