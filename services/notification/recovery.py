"""A rebuild's second half asks the order service: who was notified, and which orders have left its feed.

Nothing becomes ready to be sent here: a notification whose outcome is not known is HELD, and its order shows that.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import and_, case, select, update
from sqlalchemy.orm import Session

from chassis.cloud_event import CloudEvent
from chassis.dapr import SidecarUnavailable
from chassis.dead_letters.erase import WHY
from chassis.event import Timestamp
from chassis.feed import FeedQuery
from chassis.http import View
from chassis.parts import Parts
from chassis.reconciler import FeedClient
from chassis.runtime import clock
from contracts.order_created import OrderCreated
from services.notification import outcomes
from services.notification.model import Notification, State
from services.notification.reactions.notify_customer_on_order_created import (
    row_of,
)

REASON = "rebuilt: nobody knows here whether it was sent"
RECENT = timedelta(hours=1)
"""The event of an order that is younger may not be visible in the feed yet."""
PAGE = "200"
_EPOCH = datetime(2020, 1, 1, tzinfo=UTC)


class Known(View):
    """What an order shows of its notification."""

    state: str
    at: Timestamp | None


class Order(OrderCreated):
    """An order as the order service shows it: all that its event said, and its notification."""

    notification: Known


class Orders(View):
    """A page of orders."""

    items: list[Order]
    next: str | None


def version_now() -> int:
    """Return a version above all that were published, also by an earlier rebuild: the seconds since 2020."""
    return int((clock.now() - _EPOCH).total_seconds())


def held(event: OrderCreated, envelope: CloudEvent | None = None) -> Notification:
    """Return the notification for an order that is not sent by itself."""
    notification = Notification(**row_of(event, envelope))
    notification.state, notification.due_at = State.HELD, None
    notification.reason, notification.version = REASON, version_now()
    if event.erased_at:
        notification.state, notification.reason = State.DISCARDED, WHY
        notification.erased_at = event.erased_at
    return notification


def hold_all(session: Session) -> None:
    """Hold everything that this database, perhaps an older one, has as still to be sent."""
    unsent, now = Notification.state != State.SENT, version_now()
    newer = case((Notification.version < now, now), else_=Notification.version + 1)
    session.execute(update(Notification).where(unsent).values(version=newer))
    still_open = Notification.state.not_in([State.SENT, State.FAILED, State.DISCARDED])
    values = {"state": State.HELD, "reason": REASON, "due_at": None}
    session.execute(update(Notification).where(still_open).values(values))


async def recover(parts: Parts, until: str) -> None:
    """Go through all orders: mark notified ones SENT, insert missing ones as HELD, publish each that is HELD.

    `until` is the cursor up to which the feed was restored; the service itself handles the events after it.
    Repeated, it publishes again. Raises SidecarUnavailable, FeedChanged.
    """
    later = await _orders_after(parts, until)
    old = clock.now() - RECENT
    cursor: str | None = ""
    while cursor is not None:
        page = await _orders(parts, cursor)
        gone = {
            each.order_id
            for each in page.items
            if each.created_at < old and str(each.order_id) not in later
        }
        await parts.database.write(partial(_recover, orders=page.items, gone=gone))
        cursor = page.next


async def _orders_after(parts: Parts, cursor: str) -> set[str]:
    feed = FeedClient(parts.sidecar, OrderCreated, parts.secret)
    orders: set[str] = set()
    while True:
        page = await feed.page(FeedQuery(topic=OrderCreated.topic(), after=cursor))
        events = page.by_id().values()
        orders.update(str(each["subject"]) for each in events if each)
        if page.next is None or page.next == cursor:
            return orders
        cursor = page.next


async def _orders(parts: Parts, cursor: str) -> Orders:
    query = {"limit": PAGE, **({"cursor": cursor} if cursor else {})}
    # With the pair's secret: a rebuild is no customer, and nobody is signed in.
    headers = {"authorization": f"Bearer {parts.secret}"}
    answer = await parts.sidecar.ask(
        "order", "internal/order", query=query, headers=headers
    )
    try:
        return Orders.model_validate(answer.json())
    except ValidationError as error:
        raise SidecarUnavailable(
            f"the order service answered {answer.status}, and no orders"
        ) from error


def _recover(session: Session, orders: Sequence[Order], gone: set[UUID]) -> None:
    ours = Notification.order_id.in_([each.order_id for each in orders])
    found = session.scalars(select(Notification).where(ours))
    stored = {each.order_id: each for each in found}
    for order in orders:
        notification = stored.get(order.order_id)
        if notification is None and order.order_id in gone:
            # Should its event come after all, it becomes a dead letter, and notifies nobody.
            notification = held(order)
            session.add(notification)
        if notification and order.notification.state == State.SENT:
            _mark_sent(notification, order.notification.at)
    session.flush()
    unknown = and_(Notification.state == State.HELD, Notification.reason == REASON)
    outcomes.mark_and_append(session, and_(ours, unknown), State.HELD, reason=REASON)


def _mark_sent(notification: Notification, at: datetime | None) -> None:
    if notification.state != State.SENT:
        notification.state, notification.sent_at = State.SENT, at
        notification.reason = notification.due_at = None
