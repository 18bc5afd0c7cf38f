"""Both services in this process, on databases of their own, behind the simulated sidecar."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from chassis.database import Database
from chassis.parts import Parts
from services.notification import app as notification
from services.order import app as order
from tests.support.database import secrets_in, url_in
from tests.support.eventually import eventually
from tests.support.simulated_dapr import SimulatedDapr


@dataclass(frozen=True)
class Service:
    """A running service: its app and its parts, and a client for its API."""

    app: FastAPI
    http: httpx.AsyncClient

    @property
    def parts(self) -> Parts:
        """Its settings, database, sidecar, keys and secrets."""
        parts: Parts = self.app.state.parts
        return parts

    @property
    def database(self) -> Database:
        """Its database."""
        return self.parts.database


@asynccontextmanager
async def order_service(
    folder: Path, dapr: SimulatedDapr, **settings: object
) -> AsyncIterator[Service]:
    """Run the order service with its database and its secrets in this folder."""
    given = _settings(folder, "order", settings)
    app = order.create_app(order.Settings.model_validate(given), dapr.sidecar())
    async with running(app) as service, reachable(dapr, "order", app):
        yield service


@asynccontextmanager
async def notification_service(
    folder: Path, dapr: SimulatedDapr, **settings: object
) -> AsyncIterator[Service]:
    """Run the notification service with its database and its secrets in this folder."""
    given = _settings(folder, "notification", settings)
    app = notification.create_app(
        notification.Settings.model_validate(given), dapr.sidecar()
    )
    async with running(app) as service, reachable(dapr, "notification", app):
        yield service


def _settings(
    folder: Path, service: str, settings: dict[str, object]
) -> dict[str, object]:
    # One folder of secrets for both services: each verifies what the other signs.
    url, secrets = url_in(folder, service), secrets_in(folder)
    return {"database_url": url, "secrets_folder": secrets, **settings}


@dataclass
class Invoked:
    """An app that others invoke through Dapr, and how many requests are under way."""

    app: FastAPI
    under_way: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        self.under_way += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self.under_way -= 1

    async def is_idle(self) -> bool:
        """Return whether no request is under way."""
        return self.under_way == 0


@asynccontextmanager
async def reachable(
    dapr: SimulatedDapr, app_id: str, app: FastAPI
) -> AsyncIterator[None]:
    """Make an app reachable through Dapr; at the end, wait until it has answered what was asked."""
    dapr.apps[app_id] = invoked = Invoked(app)
    try:
        yield
    finally:
        del dapr.apps[app_id]
        await eventually(invoked.is_idle, f"{app_id} has answered", deadline=15)


@asynccontextmanager
async def running(app: FastAPI) -> AsyncIterator[Service]:
    """Start an app as a server would, and stop it at the end."""
    # An unexpected error is answered like any other; the test sees the answer, not the exception.
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://app") as client,
    ):
        yield Service(app, client)
