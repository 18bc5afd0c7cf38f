"""A service outside this repository, on nothing but the installed chassis: it grants a point for each order.

uvicorn --factory loyalty:create_app --port 8003, beside a sidecar with the app-id `loyalty`.
"""

from typing import ClassVar
from uuid import UUID

from fastapi import FastAPI
from sqlalchemy.orm import Session

from chassis.cloud_event import Cause, CloudEvent
from chassis.event import Event
from chassis.inbox import Reaction, Start
from chassis.outbox import append
from chassis.runtime import ServiceSettings, load
from chassis.service import create, make_parts


class OrderCreated(Event):
    """What this service reads of the order service's event: fields that it does not name are ignored."""

    source: ClassVar[str] = "order"
    order_id: UUID


class PointGranted(Event):
    """An order earned a point."""

    source: ClassVar[str] = "loyalty"
    order_id: UUID


def grant_point_on_order_created(
    event: OrderCreated, envelope: CloudEvent, session: Session
) -> None:
    """Publish PointGranted in the transaction that handles the order."""
    granted = PointGranted.model_validate(event)
    cause = Cause(envelope.traceparent, envelope.id)
    append(session, granted, subject=event.order_id, cause=cause)


def create_app() -> FastAPI:
    """Return the service's app; DATABASE_URL names its database."""
    settings = load(ServiceSettings)
    # Orders from before its first start earn nothing.
    points = Reaction(OrderCreated, grant_point_on_order_created, start=Start.NOW)
    parts = make_parts("loyalty", settings, migrations=None)
    return create(parts, routers=[], reactions=[points])
