"""Liveness is the event loop alone; readiness names everything that is missing, within a second."""

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from chassis.dapr import Sidecar
from chassis.database import Database
from chassis.database.engine import sqlite_file
from chassis.http import create_api, health
from services.notification import app as notification
from tests.chassis.http.thing_api import parts_on
from tests.support.carried import Carried
from tests.support.database import migrated, secrets_in, url_in
from tests.support.services import Service, running
from toolchain.runfile import free_port

PUBSUB = {"name": "pubsub", "type": "pubsub.rabbitmq", "version": "v1"}
EMAIL = {"name": "email", "type": "bindings.smtp", "version": "v1"}
SUBSCRIPTIONS = [
    {"pubsubname": "pubsub", "topic": "OrderCreated"},
    {"pubsubname": "pubsub", "topic": "notification-dead-letter"},
]
NO_ANSWER = "no answer within 0.8 s"


@dataclass
class Loaded:
    """What a sidecar has loaded, and the status with which it says so."""

    metadata: dict[str, Any]
    status: int = 200

    def sidecar(self) -> Sidecar:
        """Return a client of this sidecar."""
        app = Starlette(routes=[Route("/v1.0/metadata", self._answer)])
        return Sidecar("http://sidecar", wire=Carried(httpx.ASGITransport(app)))

    async def _answer(self, _request: Request) -> JSONResponse:
        return JSONResponse(self.metadata, self.status)


READY = Loaded({"components": [PUBSUB]})


@contextmanager
def silent_server() -> Iterator[int]:
    """Run a server that accepts connections and never says a word; yield its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@asynccontextmanager
async def asked(
    database: Database,
    folder: Path,
    sidecar: Sidecar,
    tasks: Sequence[asyncio.Task[None]] = (),
    degraded: str = "",
) -> AsyncIterator[httpx.AsyncClient]:
    """Run the health routes alone, of a service that needs its pub/sub."""
    app = create_api("things")
    parts = replace(parts_on(database, folder), sidecar=sidecar)
    app.include_router(health.router(parts, {"pubsub"}, tasks, lambda: degraded))
    transport = httpx.ASGITransport(app)
    async with (
        sidecar,
        httpx.AsyncClient(transport=transport, base_url="http://app") as http,
    ):
        yield http
    await database.close()


async def is_missing(http: httpx.AsyncClient, *missing: str) -> None:
    """Check that the service is not ready, and that it says why within a second."""
    began = time.monotonic()
    answer = await http.get("/readyz")

    assert time.monotonic() - began < 1.5
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["type"] == "urn:problem-type:not-ready"
    assert (answer.status_code, document["missing"]) == (503, [*missing])
    assert document["detail"] == "; ".join(missing)


async def is_ready(http: httpx.AsyncClient) -> None:
    """Check that the service is ready."""
    answer = await http.get("/readyz")

    assert (answer.status_code, answer.json()) == (200, {"status": "ready"})


async def test_a_service_that_has_all_it_needs_is_ready(order: Service) -> None:
    await is_ready(order.http)


async def test_a_service_that_makes_good_for_a_subscription_is_ready_and_says_so(
    tmp_path: Path,
) -> None:
    """Not ready, it would be cut off from what it pulls."""
    database = migrated("order", tmp_path)
    said = "the subscription to OrderCreated delivers nothing"
    async with asked(database, tmp_path, READY.sidecar(), degraded=said) as http:
        answer = await http.get("/readyz")

    assert answer.status_code == 200
    assert answer.json() == {"status": "ready", "degraded": said}


async def test_a_sidecar_without_the_component_is_not_enough(tmp_path: Path) -> None:
    loaded = Loaded({"components": []})

    async with asked(migrated("order", tmp_path), tmp_path, loaded.sidecar()) as http:
        await is_missing(http, "the sidecar has no pubsub")
        loaded.metadata = READY.metadata
        await is_ready(http)


async def test_the_notification_service_needs_its_mail_binding_and_subscriptions(
    tmp_path: Path,
) -> None:
    loaded = Loaded({})
    settings = notification.Settings(
        database_url=url_in(tmp_path, "notification"),
        secrets_folder=secrets_in(tmp_path),
    )
    async with running(notification.create_app(settings, loaded.sidecar())) as made:
        await is_missing(
            made.http,
            "the sidecar has no email",
            "the sidecar has no pubsub",
            "the sidecar has no subscription to OrderCreated",
            "the sidecar has no subscription to notification-dead-letter",
        )
        loaded.metadata = {"components": [PUBSUB], "subscriptions": SUBSCRIPTIONS}
        await is_missing(made.http, "the sidecar has no email")
        loaded.metadata["components"] = [PUBSUB, EMAIL]
        await is_ready(made.http)


async def test_a_sidecar_that_is_not_there_is_named(tmp_path: Path) -> None:
    sidecar = Sidecar(f"http://127.0.0.1:{free_port()}")

    async with asked(migrated("order", tmp_path), tmp_path, sidecar) as http:
        await is_missing(
            http, "the sidecar: the sidecar does not answer (no connection)"
        )


@pytest.mark.parametrize("status", [204, 404, 500])
async def test_a_sidecar_that_answers_something_else_is_named(
    tmp_path: Path, status: int
) -> None:
    sidecar = Loaded({}, status).sidecar()

    async with asked(migrated("order", tmp_path), tmp_path, sidecar) as http:
        await is_missing(http, f"the sidecar: its metadata was answered {status}")


async def test_a_sidecar_that_hangs_is_named_within_a_second(tmp_path: Path) -> None:
    with silent_server() as port:
        sidecar = Sidecar(f"http://127.0.0.1:{port}")
        async with asked(migrated("order", tmp_path), tmp_path, sidecar) as http:
            await is_missing(http, f"the sidecar: {NO_ANSWER}")


async def test_a_database_that_hangs_is_named_within_a_second(tmp_path: Path) -> None:
    with silent_server() as port:
        database = Database(f"postgresql://nobody@127.0.0.1:{port}/none", "things")
        async with asked(database, tmp_path, READY.sidecar()) as http:
            await is_missing(http, f"the database: {NO_ANSWER}")
            alive = await asyncio.wait_for(http.get("/healthz"), 0.5)

    assert (alive.status_code, alive.json()) == (200, {"status": "alive"})


async def test_a_database_that_is_gone_is_named_until_it_is_back(
    tmp_path: Path,
) -> None:
    database = migrated("order", tmp_path)
    file = sqlite_file(database.url)
    async with asked(database, tmp_path, READY.sidecar()) as http:
        database.engine.dispose()
        hidden = file.rename(file.with_suffix(".hidden"))
        file.mkdir()
        await is_missing(http, "the database: OperationalError")

        file.rmdir()
        hidden.rename(file)
        await is_ready(http)


async def test_a_loop_that_has_ended_is_named(tmp_path: Path) -> None:
    ended = asyncio.create_task(asyncio.sleep(0), name="relay")
    await ended
    database = migrated("order", tmp_path)

    async with asked(database, tmp_path, READY.sidecar(), [ended]) as http:
        await is_missing(http, "the relay: it has ended")


async def test_a_writer_does_not_make_the_service_unready(order: Service) -> None:
    done = threading.Event()
    writing = asyncio.create_task(order.database.write(lambda _session: done.wait(10)))

    await is_ready(order.http)

    done.set()
    assert await writing


async def test_head_is_answered_where_probes_ask(order: Service) -> None:
    for path in ("/healthz", "/readyz"):
        answer = await order.http.head(path)
        assert (answer.status_code, answer.content) == (200, b"")
