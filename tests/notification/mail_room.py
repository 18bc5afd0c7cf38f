"""A mail room: the notification service's database, and channels that take one step at a time."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import UpdateBase, select, update
from sqlalchemy.orm import Session

from chassis.cloud_event import Cause, CloudEvent, create_cloud_event
from chassis.dapr import Sidecar
from chassis.database import Database
from chassis.outbox.outbox import outbox
from chassis.runtime import clock
from contracts.order_created import OrderCreated
from services.notification import outcomes
from services.notification.channels import Mail
from services.notification.dispatcher import ChannelUnavailable, Dispatcher
from services.notification.model import Notification, State
from services.notification.outcomes import Policy
from services.notification.reactions.notify_customer_on_order_created import (
    notify_customer_on_order_created,
    row_of,
)
from services.notification.throttle import NONE, Limits
from tests.support.database import KEYS, execute, migrated
from tests.support.mail_api import MailApi
from tests.support.mail_server import Mailbox
from tests.support.simulated_dapr import SimulatedDapr

JANE = "jane@example.org"
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
SEND_DEADLINE = 0.2
"""Seconds that a mail may take in here."""
ORDERED_AT = datetime.fromisoformat("2026-01-31T08:15:30.123Z")


@dataclass
class MailRoom:
    """What waits, what was sent, and what was published about it."""

    database: Database
    sidecar: Sidecar
    dapr: SimulatedDapr
    folder: Path

    @property
    def mailbox(self) -> Mailbox:
        """Where the mails arrive."""
        return self.dapr.bindings["email"]

    def api(self) -> MailApi:
        """Replace the sidecar's mail server by a mail API."""
        return self.dapr.apis.setdefault("email", MailApi())

    def dispatcher(
        self, policy: Policy = "resend", owner: str = "", limits: Limits = NONE
    ) -> Dispatcher:
        """Return a dispatcher, as app.py makes it."""
        mail = Mail(self.sidecar, "email", "shop@example.org")
        return Dispatcher(self.database, mail, policy, limits, owner=owner)

    async def order(
        self,
        email: str | None = JANE,
        name: str = "Jane Doe",
        order: UUID | None = None,
        **values: object,
    ) -> UUID:
        """Handle an OrderCreated, or store its notification as `values` say; return the order's id."""
        order = order or uuid4()
        created = OrderCreated(
            order_id=order,
            customer_name=name,
            customer_email=email,
            created_at=ORDERED_AT,
        )
        cause = Cause(TRACE)
        envelope = CloudEvent.model_validate(
            create_cloud_event(
                created, service="order", subject=order, cause=cause, keys=KEYS
            )
        )

        def work(session: Session) -> None:
            if values:
                session.add(Notification(**row_of(created, envelope) | values))
            else:
                notify_customer_on_order_created(created, envelope, session)

        await self.database.write(work)
        return order

    async def claimed(self, owner: str = "", *, keyed: bool = False) -> Notification:
        """Claim the next mail, as a dispatcher that then dies."""
        owner = owner or self.database.owner
        mail = await self.database.write(
            lambda session: outcomes.claim(session, owner, keyed=keyed)
        )
        assert mail
        return mail

    async def marked_sent(self, owner: str, claimed: Notification) -> list[UUID]:
        """Mark a claimed mail as SENT; return the orders whose notifications were."""
        mine = outcomes.fence(owner, claimed)
        return await self.database.write(
            lambda session: [
                each.order_id
                for each in outcomes.mark_and_append(
                    session, mine, State.SENT, sent_at=clock.now()
                )
            ]
        )

    async def all(self) -> Sequence[Notification]:
        """Return all notifications, oldest first."""
        found = select(Notification).order_by(Notification.id)
        return await self.database.read(lambda session: session.scalars(found).all())

    async def of(self, order: UUID) -> Notification:
        """Return the one notification for an order."""
        (found,) = [each for each in await self.all() if each.order_id == order]
        return found

    async def published(self, order: UUID) -> list[tuple[str, int]]:
        """Return what was published about an order's notification, as one word each and its version."""
        events = [each for each in await self.events() if each["subject"] == str(order)]
        return [(_word(each), each["aggregateversion"]) for each in events]

    async def events(self) -> list[dict[str, Any]]:
        """Return all events in the outbox, in order."""
        rows = select(outbox.c.event).order_by(outbox.c.position)
        stored = await self.database.read(lambda session: session.scalars(rows).all())
        return [json.loads(each) for each in stored]

    async def set(self, *orders: UUID, **values: object) -> None:
        """Write this into the notifications of these orders, or into all."""
        statement = update(Notification).values(**values)
        if orders:
            statement = statement.where(Notification.order_id.in_(orders))
        await change(self.database, statement)

    async def time_passes(self) -> None:
        """Make everything due."""
        await self.set(due_at=clock.now())

    @asynccontextmanager
    async def without_events(self) -> AsyncIterator[None]:
        """Make the database refuse events meanwhile."""
        await execute(self.database, "ALTER TABLE outbox RENAME TO no_outbox")
        yield
        await execute(self.database, "ALTER TABLE no_outbox RENAME TO outbox")


async def change(database: Database, statement: UpdateBase) -> None:
    """Change rows of a database."""

    def work(session: Session) -> None:
        session.execute(statement)

    await database.write(work)


def _word(published: dict[str, Any]) -> str:
    plain = published["type"].removeprefix("Notification").upper()
    return str(published["data"].get("outcome", plain))


async def attempt(dispatcher: Dispatcher) -> str:
    """Take one step of a dispatcher; return why its channel pauses, if it does."""
    try:
        await dispatcher.step()
    except ChannelUnavailable as error:
        return str(error)
    return ""


@asynccontextmanager
async def mail_room(folder: Path, dapr: SimulatedDapr) -> AsyncIterator[MailRoom]:
    """Open a mail room with its database in this folder."""
    database = migrated("notification", folder)
    async with dapr.sidecar(SEND_DEADLINE) as sidecar:
        yield MailRoom(database, sidecar, dapr, folder)
    await database.close()


def ahead(moment: datetime | None, now: datetime) -> timedelta:
    """Return how far ahead of now a time is."""
    assert moment
    return moment - now
