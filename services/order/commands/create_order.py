"""Create an order: the order and the event that tells of it are one transaction."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.cloud_event import Cause
from chassis.database.unit_of_work import WriteSession
from chassis.http.idempotency import KEY_REFUSALS, Idempotent, takes_a_key
from chassis.http.models import Address, Body, Line, View
from chassis.http.problems import refusals
from chassis.outbox import outbox
from chassis.outbox.backlog import BacklogFull, has_room
from chassis.runtime import clock
from chassis.runtime.ids import uuid7
from chassis.runtime.telemetry import Trace
from contracts.order_created import OrderCreated
from services.order.model import Order

router = APIRouter(tags=["Orders"], route_class=Idempotent)

LOCATION = {"schema": {"type": "string"}, "description": "Where the order is shown."}


class CreateOrder(Body):
    """What a customer sends to order."""

    customer_name: Annotated[
        Line, Field(min_length=1, max_length=200, examples=["Jane Doe"])
    ]
    customer_email: Annotated[
        Address | None,
        Field(
            max_length=254,
            examples=["jane@example.org"],
            description="Where the notification goes; without it, to the console",
        ),
    ] = None


class Accepted(View):
    """What the customer gets: the id under which the order can be followed."""

    order_id: UUID


async def create_order(
    command: CreateOrder, session: AsyncSession, cause: str
) -> Order:
    """Store a new order, and OrderCreated with it; `cause` is the W3C trace context of the request."""
    order = Order(
        id=uuid7(),
        customer_name=command.customer_name,
        customer_email=command.customer_email,
        created_at=_now(),
    )
    session.add(order)
    event = OrderCreated(
        order_id=order.id,
        customer_name=order.customer_name,
        customer_email=order.customer_email,
        created_at=order.created_at,
    )
    await outbox.add(session, event, subject=order.id, cause=Cause(cause))
    return order


@router.post(
    "/api/order",
    status_code=201,
    responses={
        201: {"headers": {"Location": LOCATION}},
        **refusals(*KEY_REFUSALS, BacklogFull),
    },
    dependencies=[has_room, takes_a_key],
)
async def post_order(
    command: CreateOrder, session: WriteSession, cause: Trace, response: Response
) -> Accepted:
    """Place an order.

    201 is sent when the order, and the event that tells of it, are committed.
    """
    order = await create_order(command, session, cause)
    response.headers["Location"] = f"/api/order/{order.id}"
    return Accepted(order_id=order.id)


def _now() -> datetime:
    # To the millisecond, as the wire has it: what is stored and what is sent are the same.
    now = clock.now()
    return now.replace(microsecond=now.microsecond // 1000 * 1000)
