"""The order service as a tutorial writes it: store the order, publish the event, answer.

It stands beside ours in `make chaos NAIVE=yes`, under the same load and the same faults, with the same YAML.
Nothing in it is worse than it need be: the order is stored before it is published, a publish that fails is an
error for the customer, and the sidecar's client waits until the sidecar answers. What it lacks is what Dapr
leaves to the program: an outbox, and a key by which a request that is sent again is recognised.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import cache
from typing import Annotated
from uuid import UUID, uuid4

from dapr.aio.clients import DaprClient
from fastapi import FastAPI
from pydantic import BaseModel, Field
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """The tables of this service."""


class Order(Base):
    """An order that was accepted."""

    __tablename__ = "orders"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    customer_name: Mapped[str]
    customer_email: Mapped[str | None]


class CreateOrder(BaseModel):
    """What a customer sends."""

    customer_name: Annotated[str, Field(alias="customerName")]
    customer_email: Annotated[str | None, Field(alias="customerEmail")] = None


class OrderCreated(BaseModel):
    """What is published."""

    orderId: UUID  # noqa: N815 - its name on the wire
    customerName: str  # noqa: N815
    customerEmail: str | None  # noqa: N815
    createdAt: datetime  # noqa: N815


URL = os.environ["DATABASE_URL"].replace("postgresql:", "postgresql+psycopg:", 1)
engine = create_engine(URL)
# Made when it is first needed: it waits for the sidecar, which waits for this app.
dapr = cache(DaprClient)


@asynccontextmanager
async def _lifespan(_app: FastAPI) -> AsyncIterator[None]:
    await asyncio.to_thread(Base.metadata.create_all, engine)
    yield


def _store(order: dict[str, object]) -> None:
    with engine.begin() as connection:
        connection.execute(Base.metadata.tables["orders"].insert(), order)


def create_app() -> FastAPI:
    """Return the service's app."""
    app = FastAPI(lifespan=_lifespan)

    @app.get("/healthz")
    @app.get("/readyz")
    async def healthy() -> dict[str, str]:
        return {"status": "ready"}

    @app.post("/api/order", status_code=201)
    async def create_order(command: CreateOrder) -> dict[str, str]:
        order = {
            "id": uuid4(),
            "customer_name": command.customer_name,
            "customer_email": command.customer_email,
        }
        await asyncio.to_thread(_store, order)
        event = OrderCreated(
            orderId=order["id"],
            customerName=command.customer_name,
            customerEmail=command.customer_email,
            createdAt=datetime.now(UTC),
        )
        await dapr().publish_event(
            pubsub_name="pubsub",
            topic_name="OrderCreated",
            data=event.model_dump_json(),
            data_content_type="application/json",
        )
        return {"orderId": str(event.orderId)}

    return app
