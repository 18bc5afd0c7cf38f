"""The dispatcher sends what is ready: claim, send, mark, outside the delivery of the event."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.database import Database, sqlite_file
from chassis.ids import uuid7
from chassis.loop import Loop
from services.notification.model import SIGNAL, Notification, State

BATCH = 100
"""Notifications that are claimed, and marked, in one transaction."""


@dataclass
class Dispatcher:
    """Takes the notifications of one database from READY over SENDING to SENT."""

    database: Database
    owner: str = field(default_factory=lambda: str(uuid7()))

    def loop(self) -> Loop:
        """Make the loop that keeps sending; on SQLite there is one of it for each database file."""
        lock = Path(f"{sqlite_file(self.database.url)}.dispatcher.lock")
        return Loop(
            "dispatcher", self.step, self.reclaim, self.database.signal(SIGNAL), lock
        )

    async def reclaim(self) -> None:
        """Make ready again what an earlier process had claimed: the console shows nothing before SENT."""
        async with self.database.write() as session:
            sending = update(Notification).where(Notification.state == State.SENDING)
            await session.execute(sending.values(state=State.READY, owner=None))

    async def step(self) -> bool:
        """Send one batch; tell whether there was any."""
        async with self.database.write() as session:
            claimed = await claim(session, self.owner)
        if claimed:
            async with self.database.write() as session:
                sent = await mark_sent(session, self.owner, claimed)
            _print(sent)
        return bool(claimed)


async def claim(session: AsyncSession, owner: str) -> Sequence[Notification]:
    """Take the oldest ready notifications: committed as SENDING before anything leaves."""
    ready = (
        select(Notification.id)
        .where(Notification.state == State.READY)
        .order_by(Notification.id)
    )
    statement = (
        update(Notification)
        .where(Notification.id.in_(ready.limit(BATCH)))
        .values(state=State.SENDING, owner=owner, attempt=Notification.attempt + 1)
        .returning(Notification)
    )
    return (await session.scalars(statement)).all()


async def mark_sent(
    session: AsyncSession, owner: str, claimed: Sequence[Notification]
) -> Sequence[Notification]:
    """Mark what this owner still holds as SENT and give it back."""
    ids = [notification.id for notification in claimed]
    statement = (
        update(Notification)
        .where(
            Notification.id.in_(ids),
            Notification.state == State.SENDING,
            Notification.owner == owner,
        )
        .values(state=State.SENT, sent_at=datetime.now(UTC))
        .returning(Notification)
    )
    return (await session.scalars(statement)).all()


def _print(sent: Sequence[Notification]) -> None:
    # After the commit, and from the row: a line that was printed is never printed again.
    for notification in sorted(sent, key=lambda each: each.id):
        sys.stdout.write(f"{notification.text}\n")
    sys.stdout.flush()
