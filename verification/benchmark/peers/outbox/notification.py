"""The notification service behind faststream-outbox: a message that comes again changes nothing."""

from datetime import UTC, datetime
from functools import partial

from fastapi import FastAPI
from sqlalchemy.dialects.postgresql import insert

from verification.benchmark.peers.faststream import QUEUE, open_broker
from verification.benchmark.peers.messages import OrderCreated, new_app, tell_customer
from verification.benchmark.peers.outbox import (
    create_tables,
    notifications,
    open_engine,
)


def create_app() -> FastAPI:
    """Put the service together."""
    engine, broker = open_engine(), open_broker()

    @broker.subscriber(QUEUE)  # type: ignore[untyped-decorator] # not installed where types are checked
    async def notify_customer(order: OrderCreated) -> None:
        row = {
            "order_id": order.order_id,
            "customer_name": order.customer_name,
            "sent_at": datetime.now(UTC),
        }
        statement = insert(notifications).on_conflict_do_nothing()
        async with engine.begin() as connection:
            is_new = (await connection.execute(statement, row)).rowcount
        if is_new:
            tell_customer(order)

    return new_app([partial(create_tables, engine), broker.start], [broker.stop])
