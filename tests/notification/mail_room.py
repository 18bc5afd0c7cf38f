"""A mail room: the notification service's database, and dispatchers that take one step at a time."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import select, text, update

from chassis.cloud_event import Cause, envelop
from chassis.dapr.sidecar import Sidecar
from chassis.database.unit_of_work import Database
from chassis.outbox.outbox import outbox
from contracts.order_created import OrderCreated
from services.notification.channels import Console, Mail
from services.notification.dispatcher import ChannelUnavailable, Dispatcher
from services.notification.model import Channel, Notification
from services.notification.outcomes import Policy
from services.notification.reactions.notify_customer_on_order_created import (
    notify_customer_on_order_created,
)
from tests.support.database import migrated
from tests.support.mail_api import MailApi
from tests.support.mail_server import Mailbox
from tests.support.simulated_dapr import SimulatedDapr

JANE = "jane@example.org"
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
PATIENCE = 0.2
"""Seconds that a mail may take in here."""


@dataclass
class MailRoom:
    """What waits, what was sent, and what was said of it."""

    database: Database
    sidecar: Sidecar
    dapr: SimulatedDapr
    sent_at: datetime = field(
        default=datetime.fromisoformat("2026-01-31T08:15:30.123Z")
    )

    @property
    def mailbox(self) -> Mailbox:
        """Where the mails arrive."""
        return self.dapr.bindings["email"]

    def api(self) -> MailApi:
        """Let the sidecar have a mail API in the mail server's place."""
        return self.dapr.apis.setdefault("email", MailApi())

    def mailing(self, policy: Policy = "resend", owner: str = "") -> Dispatcher:
        """Make the dispatcher of mails, as app.py does."""
        mail = Mail(self.sidecar, "email", "shop@example.org")
        return Dispatcher(self.database, Channel.EMAIL, mail, 1, policy, owner)

    def printing(self) -> Dispatcher:
        """Make the dispatcher of the console, as app.py does."""
        return Dispatcher(self.database, Channel.CONSOLE, Console(), batch=100)

    async def is_asked(
        self,
        email: str | None = JANE,
        name: str = "Jane Doe",
        order: UUID | None = None,
        **values: object,
    ) -> UUID:
        """Take OrderCreated in: a notification is ready, or as `values` have it; give the order's id."""
        order = order or uuid4()
        event = OrderCreated(
            order_id=order,
            customer_name=name,
            customer_email=email,
            created_at=self.sent_at,
        )
        envelope = envelop(event, service="order", subject=order, cause=Cause(TRACE))
        async with self.database.write() as session:
            await notify_customer_on_order_created(event, envelope, session)
            if values:
                mine = Notification.order_id == order
                await session.execute(update(Notification).where(mine).values(values))
        return order

    async def all(self) -> Sequence[Notification]:
        """Give all notifications, oldest first."""
        async with self.database.read() as session:
            found = select(Notification).order_by(Notification.id)
            return (await session.scalars(found)).all()

    async def of(self, order: UUID) -> Notification:
        """Give the one notification for an order."""
        (found,) = [each for each in await self.all() if each.order_id == order]
        return found

    async def said(self, order: UUID) -> list[tuple[str, int]]:
        """Give what was said of an order's notification, in order, as one word each, and version."""
        events = [each for each in await self.events() if each["subject"] == str(order)]
        return [(_word(each), each["aggregateversion"]) for each in events]

    async def events(self) -> list[dict[str, Any]]:
        """Give all events in the outbox, in order."""
        async with self.database.read() as session:
            rows = select(outbox.c.event).order_by(outbox.c.position)
            return [json.loads(each) for each in await session.scalars(rows)]

    async def set(self, **values: object) -> None:
        """Write this into every notification."""
        async with self.database.write() as session:
            await session.execute(update(Notification).values(**values))

    async def time_passes(self) -> None:
        """Let everything be due."""
        await self.set(due_at=None)

    @asynccontextmanager
    async def without_events(self) -> AsyncIterator[None]:
        """Let the database store no event meanwhile."""
        async with self.database.write() as session:
            await session.execute(text("ALTER TABLE outbox RENAME TO no_outbox"))
        yield
        async with self.database.write() as session:
            await session.execute(text("ALTER TABLE no_outbox RENAME TO outbox"))


def _word(event: dict[str, Any]) -> str:
    plain = event["type"].removeprefix("Notification").upper()
    return str(event["data"].get("outcome", plain))


async def tries(dispatcher: Dispatcher) -> str:
    """Let a dispatcher take a step; give why its channel pauses, if it does."""
    try:
        await dispatcher.step()
    except ChannelUnavailable as error:
        return str(error)
    return ""


@asynccontextmanager
async def mail_room(folder: Path, dapr: SimulatedDapr) -> AsyncIterator[MailRoom]:
    """Open a mail room with its database in this folder."""
    database = migrated("notification", folder)
    async with dapr.sidecar(PATIENCE) as sidecar:
        yield MailRoom(database, sidecar, dapr)
    await database.close()


def ahead(moment: datetime | None, now: datetime) -> timedelta:
    """Tell how far ahead of now a time is."""
    assert moment
    return moment - now
