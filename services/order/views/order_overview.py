"""What can be asked about orders."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import Field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.database.unit_of_work import ReadSession
from chassis.errors import Rejected
from chassis.event import Timestamp
from chassis.http.models import Limit, Page, View
from chassis.http.problems import refusals
from services.order.model import NotificationState, Order

router = APIRouter(tags=["Orders"])


class NotificationShown(View):
    """What has been heard of an order's notification."""

    state: Annotated[NotificationState, Field(examples=[NotificationState.SENT])]
    channel: Annotated[str | None, Field(examples=["email"])]
    at: Annotated[Timestamp | None, Field(description="When that happened")]
    reason: Annotated[str | None, Field(description="Why it was not sent")]


class OrderOverview(View):
    """One order as its customer sees it, with what became of its notification."""

    order_id: UUID
    customer_name: Annotated[str, Field(examples=["Jane Doe"])]
    customer_email: Annotated[str | None, Field(examples=["jane@example.org"])]
    created_at: Timestamp
    notification: NotificationShown


class OrderNotFound(Rejected):
    """There is no order with this id."""

    status = 404


async def find_order_overview(order_id: UUID, session: AsyncSession) -> OrderOverview:
    """Give one order; raises OrderNotFound."""
    order = await session.get(Order, order_id)
    if order is None:
        raise OrderNotFound(f"There is no order {order_id}.", orderId=str(order_id))
    return _overview(order)


async def list_order_overviews(
    session: AsyncSession, limit: int = 50, cursor: UUID | None = None
) -> Page[OrderOverview]:
    """Give a page of orders, newest first, from after the order that `cursor` names."""
    newest_first = select(Order).order_by(Order.id.desc()).limit(limit + 1)
    if cursor is not None:
        newest_first = newest_first.where(Order.id < cursor)
    orders = [_overview(order) for order in await session.scalars(newest_first)]
    more = len(orders) > limit
    return Page(
        items=orders[:limit], next=str(orders[limit - 1].order_id) if more else None
    )


def _overview(order: Order) -> OrderOverview:
    return OrderOverview(
        order_id=order.id,
        customer_name=order.customer_name,
        customer_email=order.customer_email,
        created_at=order.created_at,
        notification=NotificationShown(
            state=order.notification_state,
            channel=order.notification_channel,
            at=order.notification_at,
            reason=order.notification_reason,
        ),
    )


@router.get("/api/order/{orderId}", responses=refusals(OrderNotFound))
async def get_order(orderId: UUID, session: ReadSession) -> OrderOverview:  # noqa: N803 - its name on the wire
    """Show one order."""
    return await find_order_overview(orderId, session)


@router.get("/api/order")
async def get_orders(
    session: ReadSession,
    limit: Limit = 50,
    cursor: Annotated[
        UUID | None, Query(description="`next` of the page before")
    ] = None,
) -> Page[OrderOverview]:
    """List orders, newest first.

    They come a page at a time: `next` of one page is `cursor` of the next, and null on the last.
    """
    return await list_order_overviews(session, limit, cursor)
