"""What can be asked about orders."""

from typing import Annotated
from uuid import UUID

from fastapi import Query
from pydantic import Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from chassis.errors import Rejected
from chassis.event import Timestamp
from chassis.http import Page, PageQuery, Read, Router, View, refuses
from services.order.model import IS_UNSENT, NotificationState, Order

router = Router(tags=["Orders"])


class NotificationShown(View):
    """What the newest event about an order's notification said."""

    state: Annotated[NotificationState, Field(examples=[NotificationState.SENT])]
    channel: Annotated[str | None, Field(examples=["email"])]
    at: Annotated[Timestamp | None, Field(description="When that happened")]
    reason: Annotated[str | None, Field(description="Why it was not sent")]


class OrderOverview(View):
    """One order as its customer sees it, with the state of its notification."""

    order_id: UUID
    customer_name: Annotated[str, Field(examples=["Jane Doe"])]
    customer_email: Annotated[str | None, Field(examples=["jane@example.org"])]
    created_at: Timestamp
    notification: NotificationShown


class OrderQuery(PageQuery):
    """Which orders to list."""

    state: Annotated[
        NotificationState | None,
        Field(description="Only orders whose notification is in this state"),
    ] = None


class OrderNotFound(Rejected):
    """There is no order with this id."""

    status = 404


def find_order_overview(order_id: UUID, session: Session) -> OrderOverview:
    """Return one order; raises OrderNotFound."""
    order = session.get(Order, order_id)
    if order is None:
        raise OrderNotFound(f"There is no order {order_id}.", orderId=str(order_id))
    return OrderOverview.model_validate(order)


def list_order_overviews(query: OrderQuery, session: Session) -> Page[OrderOverview]:
    """Return a page of orders, newest first, from after the order that the cursor names."""
    orders = select(Order).order_by(Order.order_id.desc()).limit(query.limit + 1)
    if query.cursor is not None:
        orders = orders.where(Order.order_id < query.cursor)
    if query.state is not None:
        orders = orders.where(Order.notification_state == query.state)
        if query.state is not NotificationState.SENT:
            orders = orders.where(IS_UNSENT)  # by the small index
    found = [OrderOverview.model_validate(each) for each in session.scalars(orders)]
    more = len(found) > query.limit
    page = found[: query.limit]
    return Page(items=page, next=str(page[-1].order_id) if more else None)


@router.get("/api/order/{orderId}")
@refuses(OrderNotFound)
async def get_order(orderId: UUID, read: Read) -> OrderOverview:  # noqa: N803 - its name on the wire
    """Show one order."""
    return await read(lambda session: find_order_overview(orderId, session))


@router.get("/api/order")
async def get_orders(
    query: Annotated[OrderQuery, Query()], read: Read
) -> Page[OrderOverview]:
    """List orders, newest first.

    They come a page at a time: `next` of one page is `cursor` of the next, and null on the last.
    """
    return await read(lambda session: list_order_overviews(query, session))
