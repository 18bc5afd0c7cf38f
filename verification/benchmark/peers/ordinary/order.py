"""The order service of the ordinary Dapr program."""

from functools import cache

from dapr.aio.clients import DaprClient
from fastapi import FastAPI

from verification.benchmark.peers.messages import CreateOrder, new_app, order_created

# Made when it is first needed: it waits for the sidecar, which waits for this app.
dapr = cache(DaprClient)


def create_app() -> FastAPI:
    """Put the service together."""
    app = new_app()

    @app.post("/api/order", status_code=201)
    async def create_order(command: CreateOrder) -> dict[str, str]:
        event = order_created(command)
        await dapr().publish_event(
            pubsub_name="pubsub",
            topic_name="OrderCreated",
            data=event.model_dump_json(by_alias=True),
            data_content_type="application/json",
        )
        return {"orderId": str(event.order_id)}

    return app
