"""Deliveries to the notification service as Dapr makes them, and what they leave in its database."""

import json
from typing import Any
from uuid import uuid4

from pydantic import ValidationError
from sqlalchemy import select

from chassis.cloud_event import Cause, CloudEvent, create_cloud_event
from chassis.inbox.parse import Received
from chassis.signature import SigningKeys, UnsignableData
from contracts.order_created import OrderCreated
from tests.support.database import KEYS
from tests.support.services import Service
from tests.support.simulated_delivery import bulk

CAUSE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
DELIVERED, DEAD = "/events/OrderCreated", "/events/notification-dead-letter"
"""Where Dapr delivers an event, and what it could not read."""


def order_created(
    *,
    keys: SigningKeys = KEYS,
    **changes: Any,  # noqa: ANN401 - any JSON
) -> dict[str, Any]:
    """Return an OrderCreated as it arrives, with these attributes changed, and signed where it can be."""
    order_id = uuid4()
    data = {
        "orderId": str(order_id),
        "customerName": "Jane Doe",
        "createdAt": "2026-01-31T08:15:30.123Z",
    }
    event = OrderCreated.model_validate(data)
    envelope = create_cloud_event(
        event, service="order", subject=order_id, cause=Cause(CAUSE), keys=keys
    )
    changed = {**envelope, "topic": "OrderCreated", "pubsubname": "pubsub", **changes}
    return changed if "signature" in changes else signed(changed, keys)


def signed(event: dict[str, Any], keys: SigningKeys = KEYS) -> dict[str, Any]:
    """Return an event with the order service's signature; what cannot be signed stays as it is."""
    try:
        CloudEvent.model_validate(event)
        return {**event, "signature": keys.sign(event)}
    except (ValidationError, UnsignableData):
        return event


async def deliver(
    service: Service,
    body: dict[str, Any] | bytes,
    route: str = DELIVERED,
) -> str:
    """Deliver as Dapr does; return the status that the app answers."""
    (status,) = await deliver_bulk(service, body, route=route)
    return status


async def deliver_bulk(
    service: Service, *bodies: dict[str, Any] | bytes, route: str = DELIVERED
) -> list[str]:
    """Deliver events at once, as Dapr does where the route is that of a topic; return the statuses."""
    entries = {
        str(n): each if isinstance(each, bytes) else json.dumps(each).encode()
        for n, each in enumerate(bodies)
    }
    is_dead = route.endswith("-dead-letter")
    content = entries["0"] if is_dead else bulk(entries)
    answer = await service.http.post(route, content=content)
    assert answer.status_code == 200
    if is_dead:
        return [answer.json()["status"]]
    statuses = {each["entryId"]: each["status"] for each in answer.json()["statuses"]}
    return [statuses[each] for each in entries]


def received(event: dict[str, Any] | bytes) -> Received:
    """Return an event as the inbox gets it."""
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    return Received.of_bytes(body)


async def rows(service: Service, *columns: Any) -> list[Any]:  # noqa: ANN401 - any columns
    """Return these columns of every row."""
    return await service.database.read(
        lambda session: [*session.execute(select(*columns))]
    )
