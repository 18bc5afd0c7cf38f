"""Whether a system is ready: its services are, and the broker keeps the events that they subscribe to."""

import json
import os
import urllib.request
from collections.abc import Mapping
from typing import Any, Literal

from toolchain.runfile import System
from toolchain.servers.broker import Broker


def is_ready(system: System, broker: Broker) -> bool:
    """Return whether all services are ready, here and through Dapr, and the broker keeps their events."""
    apps = system.document["apps"]
    return (
        all(answers(f"http://127.0.0.1:{app['appPort']}/readyz") for app in apps)
        and all(answers(f"{system.invoke_url(app['appID'])}/readyz") for app in apps)
        and all(_has_its_subscriptions(app, broker) for app in apps)
    )


def _has_its_subscriptions(app: dict[str, Any], broker: Broker) -> bool:
    topics = topics_of(app)
    return topics is not None and all(
        broker.keeps(topic, app["appID"]) for topic in topics
    )


def topics_of(
    app: dict[str, Any], environment: Mapping[str, str] = os.environ
) -> list[str] | None:
    """Return the topics that an app subscribes to, as its sidecar sees it; None where it does not answer."""
    url = f"http://127.0.0.1:{app['appPort']}/dapr/subscribe"
    answer = _get(url, token_of("APP", environment))
    return None if answer is None else [each["topic"] for each in json.loads(answer)]


def token_of(
    whose: Literal["APP", "DAPR"], environment: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """Return the header that an app or a sidecar wants where APP_API_TOKEN or DAPR_API_TOKEN is set."""
    token = environment.get(f"{whose}_API_TOKEN")
    return {"dapr-api-token": token} if token else {}


def answers(url: str) -> bool:
    """Return whether a GET is answered with 200."""
    return _get(url, token_of("DAPR")) is not None


def _get(url: str, headers: Mapping[str, str]) -> bytes | None:
    request = urllib.request.Request(url, headers=dict(headers))
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return bytes(answer.read()) if answer.status == 200 else None
    except OSError:
        return None
