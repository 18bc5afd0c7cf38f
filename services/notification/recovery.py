"""What a rebuild learns from the order service: who was told, and orders whose events are gone from its feed.

Nothing becomes ready to be sent here: what nobody knows of is HELD, and its order shows that.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import ColumnElement, and_, bindparam, case, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.dapr.sidecar import SidecarUnavailable
from chassis.dapr.tokens import shared_secret
from chassis.event import Timestamp
from chassis.feed.feed import MOST, Form
from chassis.http.models import Page, View
from chassis.reconciler.client import FeedClient
from chassis.runtime import clock
from chassis.runtime.ids import uuid7
from chassis.runtime.telemetry import traceparent
from chassis.service.service import Parts
from contracts.order_created import OrderCreated
from services.notification import outcomes
from services.notification.model import Channel, Notification, State

REASON = "rebuilt: nobody knows here whether it was sent"
RECENT = timedelta(hours=1)
"""The event of an order that is younger may be one that the feed is yet to show."""
PAGE = "200"
_BEGINNING = datetime(2020, 1, 1, tzinfo=UTC)


class Told(View):
    """What an order shows of its notification."""

    state: str
    at: Timestamp | None


class Shown(View):
    """An order, as far as it matters here."""

    order_id: UUID
    customer_name: str
    customer_email: str | None
    created_at: Timestamp
    notification: Told


def version_now() -> int:
    """Give a version above all that was said before, also by an earlier rebuild: the seconds since 2020."""
    return int((clock.now() - _BEGINNING).total_seconds())


async def hold_all(session: AsyncSession) -> None:
    """Hold all that this database, which may be an older one, has as still to be sent."""
    unsent, now = Notification.state != State.SENT, version_now()
    newer = case((Notification.version < now, now), else_=Notification.version + 1)
    await session.execute(update(Notification).where(unsent).values(version=newer))
    still_open = Notification.state.not_in([State.SENT, State.FAILED])
    held = {"state": State.HELD, "reason": REASON, "due_at": None}
    await session.execute(update(Notification).where(still_open).values(**held))


async def recover(parts: Parts, until: str | None) -> None:
    """Go through all orders: who was told is SENT, what is missing is there, and of what is HELD it is told.

    A rebuild that goes on does it again, and tells again. Raises SidecarUnavailable, AnotherFeed.
    """
    later, old = await _orders_after(parts, until), clock.now() - RECENT
    cursor: str | None = ""
    while cursor is not None:
        page = await _orders(parts, cursor)
        gone = [
            each
            for each in page.items
            if each.created_at < old and str(each.order_id) not in later
        ]
        async with parts.database.write() as session:
            await _insert_missing(session, gone)
            await _mark_sent(session, page.items)
            await outcomes.hold(session, _is_left_of(page.items), REASON)
        cursor = page.next


async def _orders_after(parts: Parts, place: str | None) -> set[str]:
    # They are the service's, which takes their events in and tells their customers.
    secret = shared_secret(parts.settings.feed_secret_file)
    feed = FeedClient(parts.sidecar, OrderCreated, "", secret)
    orders: set[str] = set()
    while True:
        page = await feed.page(place, None, MOST, Form.FULL, anew=False)
        events = (each.event for each in page.listed())
        orders.update(str(each.get("subject")) for each in events if each)
        if page.next is None or page.next == place:
            return orders
        place = page.next


async def _orders(parts: Parts, cursor: str) -> Page[Shown]:
    query = {"limit": PAGE, **({"cursor": cursor} if cursor else {})}
    answer = await parts.sidecar.ask("order", "api/order", query=query, headers={})
    try:
        return Page[Shown].model_validate(answer.json())
    except ValidationError as error:
        raise SidecarUnavailable(
            f"the order service answered {answer.status}, and no orders"
        ) from error


async def _insert_missing(session: AsyncSession, orders: Sequence[Shown]) -> None:
    # The order is there once: its event, should it come after all, is a dead letter, and tells nobody.
    if orders:
        missing = insert(Notification).on_conflict_do_nothing()
        await session.execute(missing, [_held(each) for each in orders])


def _held(order: Shown) -> dict[str, object]:
    return {
        "id": uuid7(),
        "order_id": order.order_id,
        "customer_name": order.customer_name,
        "customer_email": order.customer_email,
        "order_created_at": order.created_at,
        "channel": Channel.EMAIL if order.customer_email else Channel.CONSOLE,
        "state": State.HELD,
        "reason": REASON,
        "version": version_now(),
        "trace": traceparent(None),
    }


async def _mark_sent(session: AsyncSession, orders: Sequence[Shown]) -> None:
    told = [
        {"its_order": each.order_id, "then": each.notification.at}
        for each in orders
        if each.notification.state == State.SENT
    ]
    table = Notification.__table__
    mine = table.c.order_id == bindparam("its_order")
    marked = (
        update(Notification)
        .where(mine, table.c.state != State.SENT)
        .values(state=State.SENT, sent_at=bindparam("then"), reason=None, due_at=None)
    )
    if told:
        await (await session.connection()).execute(marked, told)


def _is_left_of(orders: Sequence[Shown]) -> ColumnElement[bool]:
    mine = Notification.order_id.in_([each.order_id for each in orders])
    held = and_(Notification.state == State.HELD, Notification.reason == REASON)
    return and_(mine, held)
