"""Create an order: the order and its OrderCreated event are written in one transaction."""

from typing import Annotated
from uuid import UUID

from fastapi import Response
from pydantic import Field
from sqlalchemy.orm import Session

from chassis.cloud_event import Cause
from chassis.database import add
from chassis.http import Address, Body, Created, Line, Router, Unit, View
from chassis.outbox import append
from chassis.runtime import clock
from chassis.runtime.ids import uuid7
from contracts.order_created import OrderCreated
from services.order.model import Order, search_keys

router = Router(tags=["Orders"], scope="orders:write")


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
    """The id under which the order can be followed."""

    order_id: UUID


def create_order(
    command: CreateOrder, session: Session, trace: str, owner: str | None = None
) -> Created:
    """Store a new order and append its OrderCreated.

    `trace` is the request's W3C trace context, `owner` the subject of whoever sent it, where that is known.
    """
    order_id, created_at = uuid7(), clock.now_ms()
    ordered = {**command.model_dump(), "created_at": created_at}
    event = OrderCreated(order_id=order_id, **ordered)
    created = append(session, event, subject=order_id, cause=Cause(trace))
    keys = search_keys(command.customer_name, command.customer_email)
    row = {"id": order_id, "owner": owner, "created_event": created, **keys, **ordered}
    add(session, Order.__table__, row)
    return Created(Accepted(order_id=order_id), f"order/{order_id}")


@router.post("/api/order", status_code=201, response_model=Accepted)
async def post_order(command: CreateOrder, unit: Unit) -> Response:
    """Place an order.

    201 is sent when the order and its event are committed.
    """
    return await unit.run(
        lambda session: create_order(command, session, unit.trace, unit.subject)
    )
