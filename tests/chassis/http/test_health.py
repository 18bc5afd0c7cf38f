"""Liveness is the event loop alone; readiness names everything that is missing."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from chassis.dapr.sidecar import Sidecar
from chassis.database.unit_of_work import sqlite_file
from chassis.http import health
from chassis.service import service
from services.notification import app as notification_app
from services.order import app as order_app
from tests.support.services import Service, running
from tests.support.sockets import closed_port

PUBSUB = {"name": "pubsub", "type": "pubsub.rabbitmq", "version": "v1"}
SUBSCRIPTIONS = [
    {"pubsubname": "pubsub", "topic": "OrderCreated"},
    {"pubsubname": "pubsub", "topic": "notification-dead-letter"},
]


@dataclass
class Loaded:
    """What a sidecar says that it has loaded, and with which status."""

    says: dict[str, Any]
    status: int = 200

    def sidecar(self) -> Sidecar:
        """Make a service's way to this sidecar."""
        app = Starlette(routes=[Route("/v1.0/metadata", self._metadata)])
        return Sidecar("http://sidecar", transport=httpx.ASGITransport(app))

    async def _metadata(self, _request: Request) -> JSONResponse:
        return JSONResponse(self.says, self.status)


@asynccontextmanager
async def order_behind(folder: Path, sidecar: Sidecar) -> AsyncIterator[Service]:
    """Run the order service behind this sidecar."""
    url = f"sqlite+aiosqlite:///{folder}/order.db"
    secret = folder / "feed.secret"
    settings = order_app.Settings(database_url=url, feed_secret_file=secret)
    async with running(order_app.create_app(settings, sidecar)) as made:
        yield made


@asynccontextmanager
async def notification_behind(folder: Path, sidecar: Sidecar) -> AsyncIterator[Service]:
    """Run the notification service behind this sidecar."""
    url = f"sqlite+aiosqlite:///{folder}/notification.db"
    secret = folder / "feed.secret"
    settings = notification_app.Settings(database_url=url, feed_secret_file=secret)
    async with running(notification_app.create_app(settings, sidecar)) as made:
        yield made


@asynccontextmanager
async def without_loops(folder: Path, sidecar: Sidecar) -> AsyncIterator[Service]:
    """Run a service that uses its database for nothing else, so that a test can close it."""
    url = f"sqlite+aiosqlite:///{folder}/order.db"
    secret = folder / "feed.secret"
    settings = order_app.Settings(database_url=url, feed_secret_file=secret)
    parts = service.parts("order", settings, sidecar)
    app = service.without_doors(parts, [])
    app.include_router(health.router)
    async with running(app) as made:
        yield made


async def is_missing(asked: Service, *missing: str) -> None:
    """Check that the service is not ready, and that it says why."""
    answer = await asked.http.get("/readyz")

    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["type"] == "urn:problem-type:not-ready"
    assert document["missing"] == [*missing]
    assert document["detail"] == "; ".join(missing)


async def is_ready(asked: Service) -> None:
    """Check that the service is ready."""
    answer = await asked.http.get("/readyz")

    assert (answer.status_code, answer.json()) == (200, {"status": "ready"})


async def test_a_service_that_has_all_it_needs_is_ready(order: Service) -> None:
    await is_ready(order)


async def test_a_sidecar_without_the_component_is_not_enough(tmp_path: Path) -> None:
    loaded = Loaded({"components": []})

    async with order_behind(tmp_path, loaded.sidecar()) as order:
        await is_missing(order, "the sidecar has no pubsub")
        loaded.says = {"components": [PUBSUB]}
        await is_ready(order)


async def test_a_sidecar_without_the_subscription_is_not_enough(tmp_path: Path) -> None:
    loaded = Loaded({"components": [PUBSUB]})

    async with notification_behind(tmp_path, loaded.sidecar()) as notification:
        await is_missing(
            notification,
            "the sidecar has no subscription to OrderCreated",
            "the sidecar has no subscription to notification-dead-letter",
        )
        loaded.says["subscriptions"] = SUBSCRIPTIONS
        await is_ready(notification)


async def test_everything_that_is_missing_is_named_at_once(tmp_path: Path) -> None:
    async with notification_behind(tmp_path, Loaded({}).sidecar()) as notification:
        await is_missing(
            notification,
            "the sidecar has no pubsub",
            "the sidecar has no subscription to OrderCreated",
            "the sidecar has no subscription to notification-dead-letter",
        )


async def test_a_sidecar_that_is_not_there_is_named(tmp_path: Path) -> None:
    sidecar = Sidecar(f"http://127.0.0.1:{closed_port()}")

    async with order_behind(tmp_path, sidecar) as order:
        await is_missing(
            order, "the sidecar: the sidecar does not answer (ConnectError)"
        )


@pytest.mark.parametrize("status", [204, 404, 500])
async def test_a_sidecar_that_answers_something_else_is_named(
    tmp_path: Path, status: int
) -> None:
    loaded = Loaded({}, status)

    async with order_behind(tmp_path, loaded.sidecar()) as order:
        await is_missing(order, f"the sidecar: its metadata was answered {status}")


async def test_a_sidecar_that_accepts_and_says_nothing_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"

        async with order_behind(tmp_path, Sidecar(url, deadline=0.1)) as order:
            await is_missing(
                order, "the sidecar: the sidecar does not answer (TimeoutError)"
            )


async def test_a_database_that_is_away_is_named(tmp_path: Path) -> None:
    async with without_loops(tmp_path, Loaded({}).sidecar()) as order:
        await order.database.close()
        file = sqlite_file(order.database.url)
        hidden = file.rename(file.with_suffix(".hidden"))
        file.mkdir()

        await is_missing(order, "the database: OperationalError")

        file.rmdir()
        hidden.rename(file)
        await is_ready(order)


async def test_a_loop_that_has_ended_is_named(order: Service) -> None:
    (relay, *_) = order.app.state.tasks
    relay.cancel()
    await asyncio.wait([relay])

    await is_missing(order, "the relay: it has ended")


async def test_a_writer_does_not_make_the_service_unready(order: Service) -> None:
    async with order.database.write() as session:
        await session.execute(text("DELETE FROM orders"))

        await asyncio.wait_for(is_ready(order), 2)


async def test_a_service_without_anything_is_alive(tmp_path: Path) -> None:
    sidecar = Sidecar(f"http://127.0.0.1:{closed_port()}")

    async with without_loops(tmp_path, sidecar) as order:
        await order.database.close()
        sqlite_file(order.database.url).unlink()
        answer = await asyncio.wait_for(order.http.get("/healthz"), 2)

    assert (answer.status_code, answer.json()) == (200, {"status": "alive"})
