"""Both services in this process, on SQLite files of their own, behind the simulated sidecar."""

import asyncio
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
        database_url=f"sqlite+aiosqlite:///{folder}/order.db",
        feed_secret_file=folder / "feed.secret",
    )
    app = order.create_app(settings, dapr.sidecar())
    async with running(app) as service, _reached(app, "order", dapr):
        yield service


@asynccontextmanager
async def notification_service(
    folder: Path, dapr: SimulatedDapr
) -> AsyncIterator[Service]:
    """Run the notification service with its database in this folder."""
    settings = notification.Settings(
        database_url=f"sqlite+aiosqlite:///{folder}/notification.db",
        feed_secret_file=folder / "feed.secret",
    )
    app = notification.create_app(settings, dapr.sidecar())
    async with running(app) as service, _reached(app, "notification", dapr):
        yield service


@asynccontextmanager
async def _reached(app: FastAPI, name: str, dapr: SimulatedDapr) -> AsyncIterator[None]:
    # As a server does that stops: no other request is taken, and those in flight are finished.
    in_flight = 0
    idle = asyncio.Event()
    idle.set()

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal in_flight
        in_flight += 1
        idle.clear()
        try:
            await app(scope, receive, send)
        finally:
            in_flight -= 1
            if not in_flight:
                idle.set()

    dapr.apps[name] = serve
    try:
        yield
    finally:
        del dapr.apps[name]
        await idle.wait()


@asynccontextmanager
async def running(app: FastAPI) -> AsyncIterator[Service]:
    """Start an app as a server would, and stop it at the end."""
    # An unexpected error is answered like any other; the test sees the answer, not the exception.
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://app") as client,
    ):
        yield Service(app, app.state.database, client)
