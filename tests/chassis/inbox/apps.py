"""Apps that subscribe with reactions of a test's own, on the notification service's database."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient
from sqlalchemy.orm import Session

from chassis import errors
from chassis.cloud_event import CloudEvent
from chassis.inbox import Inbox, Reaction
from chassis.inbox.subscriptions import Subscriptions, Tuning
from contracts.order_created import OrderCreated
from tests.support.services import Service

Act = Callable[[OrderCreated, CloudEvent, Session], None]


@asynccontextmanager
async def subscribing(
    service: Service, *reactions: Reaction[Any]
) -> AsyncIterator[Service]:
    """Run an app with these reactions and the service's inbox."""
    app = FastAPI()
    app.state.parts = service.parts
    errors.install(app)
    Subscriptions(app, inbox_of(service), "pubsub", Tuning()).subscribe(
        "some", reactions
    )
    transport = ASGITransport(app, raise_app_exceptions=False)
    async with AsyncClient(transport=transport, base_url="http://app") as http:
        yield Service(app, http)


def inbox_of(service: Service) -> Inbox:
    """Return the service's inbox."""
    return Inbox(service.database, service.parts.keys)


class Acting:
    """A reaction's function that notes the events it acts on, and fails as often as it is told."""

    def __init__(self, *failures: Exception) -> None:
        self.acted: list[str] = []
        self.left = list(failures)

    def __call__(
        self, _event: OrderCreated, envelope: CloudEvent, _session: Session
    ) -> None:
        """Fail, or note the event."""
        if self.left:
            raise self.left.pop(0)
        self.acted.append(envelope.id)

    def reaction(self, name: str = "act") -> Reaction[OrderCreated]:
        """Return the reaction under this name."""
        return Reaction(OrderCreated, self, known_as=name)
