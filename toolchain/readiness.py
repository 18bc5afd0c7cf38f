"""Whether a system is ready: its services are, and the broker keeps the events that they subscribe to."""

import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any, Literal

from toolchain.runfile import System
from toolchain.servers.broker import Broker


def is_ready(system: System, broker: Broker) -> bool:
    """Return whether all services are ready, here and through Dapr, and the broker keeps their events."""
    apps = [app for app in system.document["apps"] if "appPort" in app]
    return all(_is_ready(system, app, broker) for app in apps)


def _is_ready(system: System, app: dict[str, Any], broker: Broker) -> bool:
    status, _ = _get(f"http://127.0.0.1:{app['appPort']}/readyz", {})
    if status == 404:  # an app of another kind, which does not report it
        return True
    topics = topics_of(app)
    return (
        status == 200
        and answers(f"{system.invoke_url(app['appID'])}/readyz")
        and topics is not None
        and all(broker.keeps(topic, app["appID"]) for topic in topics)
    )


def topics_of(
    app: dict[str, Any], environment: Mapping[str, str] = os.environ
) -> list[str] | None:
    """Return the topics that an app subscribes to, as its sidecar sees it; None where it does not answer."""
    url = f"http://127.0.0.1:{app['appPort']}/dapr/subscribe"
    status, body = _get(url, token_of("APP", environment))
    if status == 404:  # it subscribes to nothing, as daprd sees it too
        return []
    return [each["topic"] for each in json.loads(body)] if status == 200 else None


def token_of(
    whose: Literal["APP", "DAPR"], environment: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """Return the header that an app or a sidecar wants where APP_API_TOKEN or DAPR_API_TOKEN is set."""
    token = environment.get(f"{whose}_API_TOKEN")
    return {"dapr-api-token": token} if token else {}


def answers(url: str) -> bool:
    """Return whether a GET is answered with 200."""
    return status(url) == 200


def status(url: str) -> int:
    """Return the status with which a GET is answered through a sidecar, 0 for no answer."""
    return _get(url, token_of("DAPR"))[0]


def _get(url: str, headers: Mapping[str, str]) -> tuple[int, bytes]:
    request = urllib.request.Request(url, headers=dict(headers))
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, b""
    except OSError:
        return 0, b""
