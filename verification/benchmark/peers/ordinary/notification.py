"""The notification service of the ordinary Dapr program.

Its queue is the component's usual one, a classic queue: durable, with persistent messages and confirms.
"""

from dapr.ext.fastapi import DaprApp
from fastapi import FastAPI

from verification.benchmark.peers.messages import OrderCreated, new_app, tell_customer


def create_app() -> FastAPI:
    """Put the service together."""
    app = new_app()

    @DaprApp(app).subscribe("pubsub", "OrderCreated")  # type: ignore[untyped-decorator] # it has no types
    async def notify_customer(event: dict[str, object]) -> dict[str, str]:
        tell_customer(OrderCreated.model_validate(event["data"]))
        return {"status": "SUCCESS"}

    return app
