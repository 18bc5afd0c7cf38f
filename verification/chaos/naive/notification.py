"""The notification service as a tutorial writes it: a handler that notifies the customer.

An error in it is an error for Dapr, which delivers again by the policy of components/resiliency.yaml. What it
lacks is an inbox: nothing records who was notified.
"""

from functools import cache

from dapr.aio.clients import DaprClient
from dapr.ext.fastapi import DaprApp
from fastapi import FastAPI

from verification.chaos.naive.order import OrderCreated

# Made when it is first needed: it waits for the sidecar, which waits for this app.
dapr = cache(DaprClient)


def create_app() -> FastAPI:
    """Return the service's app."""
    app = FastAPI()

    @app.get("/healthz")
    @app.get("/readyz")
    async def healthy() -> dict[str, str]:
        return {"status": "ready"}

    # A queue that is on disk and replicated, as ours (components/rabbitmq/subscription.yaml).
    durable = {"queueType": "quorum"}

    @DaprApp(app).subscribe("pubsub", "OrderCreated", metadata=durable)  # type: ignore[untyped-decorator] # it has no types
    async def notify_customer(event: dict[str, object]) -> dict[str, str]:
        order = OrderCreated.model_validate(event["data"])
        text = (
            f"Notification for Order {order.orderId}: Dear {order.customerName}, "
            f"your order was created at {order.createdAt}."
        )
        if order.customerEmail:
            await dapr().invoke_binding(
                "email",
                "create",
                data=text,
                binding_metadata={
                    "emailTo": order.customerEmail,
                    "subject": f"Your order {order.orderId}",
                },
            )
        else:
            print(text, flush=True)
        return {"status": "SUCCESS"}

    return app
