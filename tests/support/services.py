"""Both services in this process, on databases of their own, behind the simulated sidecar."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from chassis.database import Database
from services.notification import app as notification
from services.order import app as order
from tests.support.database import secrets_in, url_in
from tests.support.eventually import eventually
from tests.support.simulated_dapr import SimulatedDapr


@dataclass(frozen=True)
class Service:
    """A running service: its app, its database, and a client for its API."""

    app: FastAPI
    database: Database
    http: httpx.AsyncClient


@asynccontextmanager
async def order_service(folder: Path, dapr: SimulatedDapr) -> AsyncIterator[Service]:
    """Run the order service with its database in this folder."""
    settings = order.Settings(
        database_url=url_in(folder, "order"),
        secrets_folder=secrets_in(folder),
    )
    app = order.create_app(settings, dapr.sidecar())
    async with running(app) as service, reachable(dapr, "order", app):
        yield service


@asynccontextmanager
async def notification_service(
    folder: Path, dapr: SimulatedDapr
) -> AsyncIterator[Service]:
    """Run the notification service with its database in this folder."""
    settings = notification.Settings(
        database_url=url_in(folder, "notification"),
        secrets_folder=secrets_in(folder),
    )
    app = notification.create_app(settings, dapr.sidecar())
    async with running(app) as service, reachable(dapr, "notification", app):
        yield service


@dataclass
class Way:
    """The way to an app through Dapr, and how many are on it."""

    app: FastAPI
    under_way: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        self.under_way += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self.under_way -= 1

    async def is_empty(self) -> bool:
        """Return whether nobody is on it."""
        return self.under_way == 0


@asynccontextmanager
async def reachable(
    dapr: SimulatedDapr, app_id: str, app: FastAPI
) -> AsyncIterator[None]:
    """Make an app reachable through Dapr; at the end it answers those who ask, and nobody after them."""
    dapr.apps[app_id] = way = Way(app)
    try:
        yield
    finally:
        del dapr.apps[app_id]
        await eventually(way.is_empty, f"{app_id} has answered", deadline=15)


@asynccontextmanager
async def running(app: FastAPI) -> AsyncIterator[Service]:
    """Start an app as a server would, and stop it at the end."""
    # An unexpected error is answered like any other; the test sees the answer, not the exception.
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://app") as client,
    ):
        yield Service(app, app.state.parts.database, client)
