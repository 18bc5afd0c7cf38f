"""What a rebuild is about: orders, who was notified of them, and a database that lost what it had."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from pathlib import Path
from uuid import UUID

from sqlalchemy import select, update

from chassis.inbox import Inbox
from chassis.outbox.outbox import outbox
from chassis.parts import Parts
from chassis.reconciler import FeedClient, Reconciler
from chassis.reconciler import cursor as feed_cursor
from contracts.order_created import OrderCreated
from services.notification.app import Settings, make_parts
from services.notification.model import Notification, State
from services.notification.reactions.notify_customer_on_order_created import reaction
from services.notification.rebuild import END
from services.order import model as order_model
from services.order.model import Order
from services.order.reactions import show_notification
from tests.notification.mail_room import JANE, change
from tests.support.database import migrated, secrets_in
from tests.support.delivering import received
from tests.support.services import Service
from tests.support.simulated_dapr import SimulatedDapr


async def place(order: Service, number: int, email: str | None = JANE) -> list[UUID]:
    """Place so many orders."""
    body = {"customerName": "Jane", "customerEmail": email}
    answers = [await order.http.post("/api/order", json=body) for _ in range(number)]
    return [UUID(answer.json()["orderId"]) for answer in answers]


async def is_known_as_sent(order: Service, order_id: UUID) -> None:
    """Make the order service know that a customer was notified."""
    sent = {"notification_state": "SENT", "notification_channel": "console"}
    known = update(Order).where(Order.order_id == order_id)
    statement = known.values(**sent, notification_at=Order.created_at)
    await change(order.database, statement)


async def shows(order: Service, order_id: UUID, version: int, state: str) -> None:
    """Make the order service show this state of a notification, from an event of this version."""
    notification = order_model.Notification(order_model.NotificationState(state))
    await order.database.write(
        lambda session: order_model.record_notification(
            session, order_id, version, notification
        )
    )


@asynccontextmanager
async def wiped(
    folder: Path, dapr: SimulatedDapr, name: str = "new"
) -> AsyncIterator[Parts]:
    """Make a new database of the notification service, and the service's parts."""
    (folder / name).mkdir(parents=True, exist_ok=True)
    database = migrated("notification", folder / name)
    await database.close()
    settings = Settings(database_url=database.url, secrets_folder=secrets_in(folder))
    parts = make_parts(settings, dapr.sidecar())
    async with parts.sidecar:
        yield parts
    await parts.database.close()


async def handle(parts: Parts, event: bytes) -> None:
    """Deliver an event to the service, as the broker does."""
    await Inbox(parts.database, parts.keys).handle(reaction, received(event))


async def pull(parts: Parts) -> None:
    """Pull what the service lacks from the feed, when pushes have had their time."""
    hours = count(step=3600)
    inbox = Inbox(parts.database, parts.keys)
    reconciler = Reconciler(parts, inbox, reaction, clock=lambda: next(hours))
    await reconciler.step()  # asks for the newest mark
    while await reconciler.step():
        pass


async def states(parts: Parts) -> dict[UUID, State]:
    """Return the state of each order's notification."""
    rows = select(Notification.order_id, Notification.state)
    found = await parts.database.read(lambda session: session.execute(rows).all())
    return {row.order_id: State(row.state) for row in found}


async def the_only(parts: Parts) -> Notification:
    """Return the one notification that there is."""
    only = select(Notification)
    return await parts.database.read(lambda session: session.scalars(only).one())


async def is_begun(parts: Parts) -> None:
    """Begin a rebuild that breaks off at once."""
    feed = FeedClient(parts.sidecar, OrderCreated, parts.secret)
    end = await feed.high_water_mark()
    assert end
    await parts.database.write(
        partial(feed_cursor.move, reaction=END, old=None, new=end)
    )


async def events(owner: Service | Parts) -> list[str]:
    """Return what a service has published, in order."""
    rows = select(outbox.c.event).order_by(outbox.c.position)
    return await owner.database.read(lambda session: list(session.scalars(rows)))


async def handle_events(order: Service, parts: Parts) -> None:
    """Deliver to the order service what was published about notifications that were not sent."""
    inbox = Inbox(order.database, parts.keys)
    for each in await events(parts):
        await inbox.handle(
            show_notification.on_notification_failed, received(each.encode())
        )


async def shown(order: Service, order_id: UUID) -> dict[str, str | None]:
    """Return what an order shows of its notification."""
    answer = await order.http.get(f"/api/order/{order_id}")
    return dict(answer.json()["notification"])
