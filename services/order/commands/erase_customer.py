"""Erase a customer: who ordered is forgotten, in the orders and their events; that there was an order is not."""

from typing import Annotated
from uuid import UUID

from fastapi import Response
from pydantic import Field
from sqlalchemy import Row, select, update
from sqlalchemy.orm import Session

from chassis.cloud_event import Cause
from chassis.event import Timestamp
from chassis.http import OPERATE, By, Line, Router, Unit, View
from chassis.outbox import append, redact
from chassis.runtime import clock
from contracts.order_created import OrderCreated
from contracts.order_erased import ERASED, OrderErased
from services.order.customer import Customer
from services.order.model import Erasure, Order, search_keys

router = Router(tags=["Customers"], scope=OPERATE)

MOST = 200
"""Orders that one request erases: its transaction stays short."""


class EraseCustomer(Customer):
    """Whose orders to erase, who does it, and why."""

    by: By
    reason: Annotated[
        Line, Field(min_length=1, max_length=1000, examples=["Request 4711"])
    ]


class Erased(View):
    """The orders that were erased; where there are more, send the request again, with another key."""

    erased_at: Timestamp
    order_ids: list[UUID]
    more: bool


def erase_customer(command: EraseCustomer, session: Session, trace: str) -> Erased:
    """Erase a customer's oldest orders, MOST at once, append an OrderErased for each, and record it."""
    columns = select(Order.order_id, Order.created_at, Order.created_event)
    mine = columns.where(command.theirs(), Order.erased_at.is_(None))
    locked = mine.order_by(Order.order_id).limit(MOST + 1).with_for_update()
    found, now = session.execute(locked).all(), clock.now_ms()
    orders = found[:MOST]
    _forget(session, [each.order_id for each in orders], now)
    for each in orders:
        _append(session, each, now, trace)
    redact(session, {each.created_event: _redacted(each, now) for each in orders})
    who = {"by": command.by, "reason": command.reason}
    session.add(Erasure(at=now, orders=len(orders), **who))
    ids = [each.order_id for each in orders]
    return Erased(erased_at=now, order_ids=ids, more=len(found) > MOST)


def _forget(session: Session, orders: list[UUID], now: Timestamp) -> None:
    personal = {
        "customer_name": ERASED,
        "customer_email": None,
        "owner": None,
        **search_keys(ERASED, None),
        "notification_reason": None,
        "erased_at": now,
    }
    ours = update(Order).where(Order.order_id.in_(orders))
    session.execute(ours.values(personal))


def _append(
    session: Session,
    order: Row[UUID, Timestamp, str],
    now: Timestamp,
    trace: str,
) -> None:
    event = OrderErased(
        order_id=order.order_id,
        created_at=order.created_at,
        created_event=UUID(order.created_event),
        erased_at=now,
    )
    append(session, event, subject=order.order_id, cause=Cause(trace), version=2)


def _redacted(order: Row[UUID, Timestamp, str], now: Timestamp) -> OrderCreated:
    return OrderCreated(
        order_id=order.order_id,
        customer_name=ERASED,
        created_at=order.created_at,
        erased_at=now,
    )


@router.post("/api/customer/erase", response_model=Erased)
async def post_erase_customer(command: EraseCustomer, unit: Unit) -> Response:
    """Erase who placed orders: name and address, in the orders, in their events, and in the other service.

    The notification service follows within seconds. What was not sent is never sent.
    """
    return await unit.run(
        lambda session: erase_customer(command, session, unit.trace), alone=True
    )
