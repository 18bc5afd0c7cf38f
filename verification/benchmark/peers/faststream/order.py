"""The order service on FastStream."""

from functools import partial

from fastapi import FastAPI

from verification.benchmark.peers.faststream import QUEUE, open_broker
from verification.benchmark.peers.messages import CreateOrder, new_app, order_created


def create_app() -> FastAPI:
    """Put the service together."""
    broker = open_broker()

    app = new_app([broker.connect, partial(broker.declare_queue, QUEUE)], [broker.stop])

    @app.post("/api/order", status_code=201)
    async def create_order(command: CreateOrder) -> dict[str, str]:
        event = order_created(command)
        message = event.model_dump(mode="json", by_alias=True)
        await broker.publish(message, QUEUE, persist=True)
        return {"orderId": str(event.order_id)}

    return app
