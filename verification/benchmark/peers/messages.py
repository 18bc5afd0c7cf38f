"""What all peers have in common: the messages, and the line that tells the customer, which ends the race."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID, uuid4

from fastapi import FastAPI
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class Message(BaseModel):
    """Camel case on the wire."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True)


class CreateOrder(Message):
    """What a customer sends, with the limits that ours has."""

    customer_name: str = Field(min_length=1, max_length=200)


class OrderCreated(Message):
    """What is published."""

    order_id: UUID
    customer_name: str
    created_at: AwareDatetime


def order_created(command: CreateOrder) -> OrderCreated:
    """Make the event of a new order."""
    return OrderCreated(
        order_id=uuid4(),
        customer_name=command.customer_name,
        created_at=datetime.now(UTC),
    )


def tell_customer(order: OrderCreated) -> None:
    """Print the notification, with the moment at which it was handled."""
    print(
        f"Notification for Order {order.order_id}: Dear {order.customer_name}, "
        f"your order was created at {order.created_at}.\t{time.time():.6f}",
        flush=True,
    )


Step = Callable[[], Awaitable[object]]


def new_app(start: Sequence[Step] = (), stop: Sequence[Step] = ()) -> FastAPI:
    """Make an app that takes these steps when it starts and stops, and that says that it is ready."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        for step in start:
            await step()
        yield
        for step in stop:
            await step()

    app = FastAPI(lifespan=lifespan)

    @app.get("/healthz")
    @app.get("/readyz")
    async def ready() -> dict[str, str]:
        return {"status": "ready"}

    return app
