"""Whether a system is ready: its services are, and the broker keeps the events that they subscribe to."""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Literal

from toolchain.machine.http import get
from toolchain.runfile import System
from toolchain.servers.broker import Broker


def is_ready(system: System, broker: Broker) -> bool:
    """Return whether all services are ready, here and through Dapr, and the broker keeps their events."""
    return not missing(system, broker)


def missing(system: System, broker: Broker) -> str:
    """Return in one line what a system lacks that is not ready yet; nothing of one that is."""
    apps = [app for app in system.document["apps"] if "appPort" in app]
    return next(filter(None, (_missing(system, app, broker) for app in apps)), "")


def _missing(system: System, app: dict[str, Any], broker: Broker) -> str:
    name, url = app["appID"], f"http://127.0.0.1:{app['appPort']}/readyz"
    code, body = get(url, {})
    if code == 404:  # an app of another kind, which does not report it
        return ""
    if code != 200:
        lack = f"{url} answers {code}" if code else "it does not answer"
        return f"{name}: {_detail(body) or lack}"
    if not answers(f"{system.invoke_url(name)}/readyz"):
        return f"{name} is not reached through the sidecar of order"
    topics = topics_of(app)
    if topics is None:
        return f"{name} does not list its subscriptions"
    lost = [topic for topic in topics if not broker.keeps(topic, name)]
    return f"{broker.name} keeps no {lost[0]} for {name} yet" if lost else ""


def _detail(body: bytes) -> str:
    with suppress(ValueError, KeyError, TypeError):
        return str(json.loads(body)["detail"])
    return ""


def topics_of(
    app: dict[str, Any], environment: Mapping[str, str] = os.environ
) -> list[str] | None:
    """Return the topics that an app subscribes to, as its sidecar sees it; None where it does not answer."""
    url = f"http://127.0.0.1:{app['appPort']}/dapr/subscribe"
    status, body = get(url, token_of("APP", environment))
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
    return get(url, token_of("DAPR"))[0]
