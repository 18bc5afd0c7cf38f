"""Whether a system is ready: the tokens are sent, and every app's subscriptions are asked for."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.support.serving import serving
from toolchain import readiness
from toolchain.readiness import Health
from toolchain.runfile import System, free_port
from toolchain.servers.broker import Broker

MISSING = {"/readyz"}
TOPICS = [{"topic": "OrderCreated"}, {"topic": "dead-letter"}]


class Guarded(BaseHTTPRequestHandler):
    """Answers who sends the token."""

    def do_GET(self) -> None:
        """Answer with the subscriptions, or 401; there is no readiness here."""
        is_known = self.headers["dapr-api-token"] == "secret"
        status = 200 if is_known else 401
        self.send_response(404 if self.path in MISSING else status)
        self.end_headers()
        self.wfile.write(json.dumps(TOPICS).encode())

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def app() -> Iterator[dict[str, Any]]:
    """Serve what wants a token."""
    with serving(Guarded) as port:
        yield {"appPort": port}


def test_a_sidecar_is_asked_with_its_token(
    app: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"http://127.0.0.1:{app['appPort']}/healthz"
    monkeypatch.delenv("DAPR_API_TOKEN", raising=False)
    assert not readiness.answers(url)

    monkeypatch.setenv("DAPR_API_TOKEN", "secret")

    assert readiness.answers(url)


def test_an_app_is_asked_for_its_subscriptions_with_its_own_token(
    app: dict[str, Any],
) -> None:
    assert readiness.topics_of(app, {"DAPR_API_TOKEN": "secret"}) is None

    topics = readiness.topics_of(app, {"APP_API_TOKEN": "secret"})

    assert topics == ["OrderCreated", "dead-letter"]


def test_an_app_of_another_kind_is_not_waited_for(
    app: dict[str, Any], tmp_path: Path
) -> None:
    apps = [{"appID": "web", **app}, {"appID": "a worker without a port"}]

    assert readiness.is_ready(System({"apps": apps}, tmp_path), Broker("none", "-"))


def test_an_app_without_subscriptions_needs_none(
    app: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.toolchain.test_readiness.MISSING", {"/dapr/subscribe"})

    assert readiness.topics_of(app, {}) == []


def test_no_proxy_of_the_environment_is_asked(
    app: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")

    assert readiness.topics_of(app, {"APP_API_TOKEN": "secret"})


def test_what_is_missing_is_named(app: dict[str, Any], tmp_path: Path) -> None:
    none = Broker("none", "-")
    gone = {"appID": "web", "appPort": free_port()}

    lack = readiness.missing(System({"apps": [gone]}, tmp_path), none)

    assert lack == "web: it does not answer"


class Degraded(Guarded):
    """Answers that it is ready, and what it makes good for."""

    said = "the subscription to OrderCreated delivers nothing"
    topics: ClassVar[list[dict[str, str]]] = []

    def do_GET(self) -> None:
        """Answer as a service does, and as its sidecar passes that on."""
        asked = self.path == "/dapr/subscribe"
        ready = {"status": "ready", **({"degraded": self.said} if self.said else {})}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(self.topics if asked else ready).encode())


class Subscribed(Degraded):
    """Is ready, and subscribes to a topic."""

    said = ""
    topics: ClassVar = [{"topic": "OrderCreated"}]


def test_what_works_no_longer_is_said_once_and_that_it_works_again(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with serving(Degraded) as port:
        order = {"appID": "order", "appPort": port, "daprHTTPPort": port}
        system = System({"apps": [order]}, tmp_path)
        health = Health(system, Broker("none", "-"))
        for _ in range(3):
            health.look()
        said = capsys.readouterr().out
        assert (
            said.count("order: the subscription to OrderCreated delivers nothing") == 1
        )

        monkeypatch.setattr(Degraded, "said", "")
        health.look()

        assert "everything works again" in capsys.readouterr().out


def test_a_queue_that_the_broker_refuses_is_named_with_what_to_do(
    tmp_path: Path,
) -> None:
    with serving(Subscribed) as port:
        order = {"appID": "order", "appPort": port, "daprHTTPPort": port}
        broker = Broker("RabbitMQ", "-", keeps=lambda *_: False)

        lack = readiness.missing(System({"apps": [order]}, tmp_path), broker)

    assert lack.startswith(
        "RabbitMQ keeps no OrderCreated for order; if that lasts, its sidecar says why"
    )
