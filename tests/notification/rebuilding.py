"""What a rebuild is about: orders, who was told of them, and a database that has lost what it had."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

from sqlalchemy import select, update

from chassis.dapr.tokens import shared_secret
from chassis.inbox.inbox import take_in
from chassis.outbox.outbox import outbox
from chassis.reconciler import cursor as feed_cursor
from chassis.reconciler.reconciler import Reconciler, rebuild_of
from chassis.service import service
from chassis.service.service import Parts
from services.notification.app import Settings
from services.notification.model import Notification, State
from services.notification.reactions.notify_customer_on_order_created import reaction
from services.notification.rebuild import RESTORING
from services.order.model import Order
from services.order.reactions import show_notification_on_notification_failed
from tests.support.database import migrated
from tests.support.services import Service
from tests.support.simulated_dapr import SimulatedDapr


async def place(order: Service, number: int) -> list[UUID]:
    """Place so many orders."""
    body = {"customerName": "Jane"}
    answers = [await order.http.post("/api/order", json=body) for _ in range(number)]
    return [UUID(answer.json()["orderId"]) for answer in answers]


async def is_told(order: Service, order_id: UUID) -> None:
    """Let the order service know that a customer was told."""
    sent = {"notification_state": "SENT", "notification_channel": "console"}
    async with order.database.write() as session:
        known = update(Order).where(Order.id == order_id)
        row = (await session.scalars(select(Order).where(Order.id == order_id))).one()
        await session.execute(known.values(**sent, notification_at=row.created_at))


@asynccontextmanager
async def wiped(
    folder: Path, dapr: SimulatedDapr, name: str = "new"
) -> AsyncIterator[Parts]:
    """Make a new database of the notification service, and what it stands on."""
    (folder / name).mkdir(parents=True, exist_ok=True)
    database = migrated("notification", folder / name)
    secret = folder / "feed.secret"
    settings = Settings(database_url=database.url, feed_secret_file=secret)
    await database.close()
    parts = service.parts("notification", settings, dapr.sidecar())
    async with parts.sidecar:
        yield parts
    await parts.database.close()


def reconciler(parts: Parts) -> Reconciler:
    """Make what the service reads the feed with."""
    secret = shared_secret(parts.settings.feed_secret_file)
    return Reconciler(parts.database, parts.sidecar, reaction, secret, settle=0)


async def states(parts: Parts) -> dict[UUID, State]:
    """Give the state of each order's notification."""
    async with parts.database.read() as session:
        rows = await session.execute(select(Notification.order_id, Notification.state))
        return {row.order_id: row.state for row in rows}


async def is_begun(parts: Parts) -> None:
    """Begin a rebuild that breaks off at once."""
    end = await reconciler(parts).end()
    async with parts.database.write() as session:
        await feed_cursor.move(session, rebuild_of(RESTORING), None, end or "")


async def events(owner: Service | Parts) -> list[str]:
    """Give what a service has said, in order."""
    async with owner.database.read() as session:
        rows = select(outbox.c.event).order_by(outbox.c.position)
        return list(await session.scalars(rows))


async def hears(order: Service, parts: Parts) -> None:
    """Let the order service hear what was said of notifications that were not sent."""
    heard = show_notification_on_notification_failed.reaction
    for each in await events(parts):
        await take_in(order.database, heard, each.encode())


async def shown(order: Service, order_id: UUID) -> dict[str, str | None]:
    """Give what an order shows of its notification."""
    answer = await order.http.get(f"/api/order/{order_id}")
    return dict(answer.json()["notification"])
