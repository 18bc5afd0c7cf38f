"""The order service on faststream-outbox."""

from functools import partial
from typing import Any

from fastapi import FastAPI
from faststream_outbox import OutboxBroker, make_outbox_table
from sqlalchemy import insert

from verification.benchmark.peers.faststream import QUEUE, open_broker
from verification.benchmark.peers.messages import CreateOrder, new_app, order_created
from verification.benchmark.peers.outbox import (
    create_tables,
    metadata,
    open_engine,
    orders,
)

WAITING = "order_created"


def create_app() -> FastAPI:
    """Put the service together; the relay runs in it, as ours does."""
    engine, broker = open_engine(), open_broker()
    table = make_outbox_table(metadata, table_name="outbox")
    outbox = OutboxBroker(engine, outbox_table=table)

    @outbox.subscriber(  # type: ignore[untyped-decorator] # not installed where types are checked
        WAITING, max_workers=20, fetch_batch_size=100, min_fetch_interval=0.01
    )
    async def relay(event: dict[str, Any]) -> None:
        await broker.publish(event, QUEUE, persist=True)

    start = [
        partial(create_tables, engine),
        broker.connect,
        partial(broker.declare_queue, QUEUE),
        outbox.start,
    ]
    app = new_app(start, [outbox.stop, broker.stop])

    @app.post("/api/order", status_code=201)
    async def create_order(command: CreateOrder) -> dict[str, str]:
        event = order_created(command)
        row = {
            "id": event.order_id,
            "customer_name": event.customer_name,
            "created_at": event.created_at,
        }
        message = event.model_dump(mode="json", by_alias=True)
        async with engine.begin() as connection:
            await connection.execute(insert(orders), row)
            await outbox.publish(message, queue=WAITING, session=connection)
        return {"orderId": str(event.order_id)}

    return app
