"""On the real daprd: a refused delivery comes back about once a second, whatever the component's name."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from tests.support.brokers import own_broker
from tests.support.eventually import within
from tests.support.part import Part
from tests.support.serving import serving
from tests.support.system import sidecar_command, without_topic_scopes
from toolchain import runfile
from toolchain.runfile import System
from toolchain.supervise import server

pytestmark = pytest.mark.system

NAME, TOPIC = "messagebus", "OrderCreated"
SECONDS = 6.0
SUBSCRIPTION = {
    "pubsubname": NAME,
    "topic": TOPIC,
    "route": "/refused",
    "metadata": {"queueType": "quorum"},
}


@dataclass
class Refusing:
    """An app that subscribes to one topic and refuses every delivery."""

    port: int
    deliveries: list[float] = field(default_factory=list)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Serve from a thread."""
        app = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._answer(
                    200, [SUBSCRIPTION] if self.path == "/dapr/subscribe" else {}
                )

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                app.deliveries.append(time.monotonic())
                self._answer(500, {})

            def _answer(self, status: int, content: object) -> None:
                body = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        with serving(Handler, self.port):
            yield


def renamed(folder: Path) -> System:
    """Return a system whose pub/sub component has another name."""
    system = runfile.load(runfile.free_offset(), folder / "state")
    own = folder / NAME
    without_topic_scopes(system, own)
    for component in own.glob("*.yaml"):
        text = component.read_text()
        component.write_text(text.replace("name: pubsub", f"name: {NAME}"))
    return system


@contextmanager
def sidecar(system: System, folder: Path) -> Iterator[str]:
    """Run the order service's sidecar; yield its address."""
    app = system.app("order")
    inherited = os.environ
    environment = {**inherited, **system.addresses()}
    part = Part(sidecar_command(system, app), environment, folder / "daprd.log")
    part.start()
    try:
        yield f"http://127.0.0.1:{app['daprHTTPPort']}"
    finally:
        part.kill_for_good()


def publishes(address: str) -> bool:
    """Return whether the sidecar has published an event."""
    try:
        url = f"{address}/v1.0/publish/{NAME}/{TOPIC}"
        return httpx.post(url, json={}, trust_env=False).status_code == 204
    except httpx.HTTPError:
        return False


def test_a_refused_delivery_comes_back_about_once_a_second(tmp_path: Path) -> None:
    system = renamed(tmp_path)
    broker = own_broker(system, tmp_path)
    app = Refusing(system.app("order")["appPort"])
    with (
        server.running(broker.server),
        app.running(),
        sidecar(system, tmp_path) as address,
    ):
        within(60, lambda: broker.keeps(TOPIC, "order"), "there is a queue")
        within(30, lambda: publishes(address), "an event is published")
        within(30, lambda: bool(app.deliveries), "it is delivered")
        first = app.deliveries[0]
        within(SECONDS + 60, lambda: app.deliveries[-1] - first > SECONDS, "again")
    deliveries = [each for each in app.deliveries if each - first <= SECONDS]

    gaps = [later - one for one, later in pairwise(deliveries)]
    assert 3 <= len(deliveries) <= SECONDS + 1
    assert min(gaps) > 0.9
