"""Deliveries to the notification service as Dapr makes them, and what they leave in its database."""

import json
from typing import Any
from uuid import uuid4

from sqlalchemy import select

from chassis.cloud_event import Cause, envelop
from contracts.order_created import OrderCreated
from tests.support.services import Service

CAUSE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def order_created(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    """Make an OrderCreated as it arrives, with these attributes changed."""
    order_id = uuid4()
    data = {
        "orderId": str(order_id),
        "customerName": "Jane Doe",
        "createdAt": "2026-01-31T08:15:30.123Z",
    }
    event = OrderCreated.model_validate(data)
    envelope = envelop(
        event, service="order", subject=order_id, cause=Cause(CAUSE)
    ).model_dump(mode="json")
    return {**envelope, "topic": "OrderCreated", "pubsubname": "pubsub", **changes}


async def deliver(
    service: Service,
    body: dict[str, Any] | bytes,
    route: str = "/events/OrderCreated",
) -> str:
    """Deliver as Dapr does; give the status that the app answers."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"content-type": "application/cloudevents+json"}
    answer = await service.http.post(route, content=content, headers=headers)
    assert answer.status_code == 200
    return str(answer.json()["status"])


async def rows(service: Service, *columns: Any) -> list[Any]:  # noqa: ANN401 - any columns
    """Select these columns."""
    async with service.database.read() as session:
        return list((await session.execute(select(*columns))).all())
