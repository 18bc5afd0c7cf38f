"""Whether a system is ready: its services are, and the broker keeps the events that they subscribe to."""

import json
import os
import re
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from toolchain.machine import terminal
from toolchain.machine.http import get
from toolchain.runfile import System
from toolchain.servers import gateway
from toolchain.servers.broker import Broker

LOOKS_EVERY = 10.0
REFUSED = (
    "if that lasts, its sidecar says why: the broker refuses what subscription.yaml asks for, or has a queue "
    "or an exchange of that name with other properties (delete it there, and it is made anew)"
)


def is_ready(system: System, broker: Broker) -> bool:
    """Return whether all services are ready, here and through Dapr, and the broker keeps their events."""
    return not missing(system, broker)


def missing(system: System, broker: Broker) -> str:
    """Return in one line what a system lacks that is not ready yet; nothing of one that is."""
    apps = [app for app in system.document["apps"] if "appPort" in app]
    lacking = next(filter(None, (_missing(system, app, broker) for app in apps)), "")
    if lacking or not system.gateway or gateway.serves(system.port("gateway")):
        return lacking
    return f"the gateway does not answer at port {system.port('gateway')}"


def _missing(system: System, app: dict[str, Any], broker: Broker) -> str:
    name, url = app["appID"], f"http://127.0.0.1:{app['appPort']}/readyz"
    code, body = get(url, {})
    if code == 404:  # an app of another kind, which does not report it
        return ""
    if code != 200:
        lack = f"{url} answers {code}" if code else "it does not answer"
        return f"{name}: {_detail(body) or lack}"
    if not answers(f"{system.invoke_url(name)}/readyz", system.variables("order")):
        return f"{name} is not reached through the sidecar of order"
    topics = topics_of(app, system.variables(name))
    if topics is None:
        return f"{name} does not list its subscriptions"
    lost = [topic for topic in topics if not broker.keeps(topic, name)]
    return f"{broker.name} keeps no {lost[0]} for {name}; {REFUSED}" if lost else ""


def _detail(body: bytes, field: str = "detail") -> str:
    with suppress(ValueError, KeyError, TypeError):
        return str(json.loads(body)[field])
    return ""


def degraded(system: System) -> str:
    """Return what does not work in a system that is ready all the same, as its services say."""
    for app in system.document["apps"]:
        if "appPort" in app:
            _, body = get(f"http://127.0.0.1:{app['appPort']}/readyz", {})
            if said := _detail(body, "degraded"):
                return f"{app['appID']}: {said}"
    return ""


@dataclass
class Health:
    """Looks, again and again, whether a system that was ready still is."""

    system: System
    broker: Broker
    lack: str = ""
    said: str = ""

    def start(self) -> None:
        """Look from now on, beside all else: one that hangs answers late."""
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            time.sleep(LOOKS_EVERY)
            self.look()

    def look(self) -> None:
        """Print what is lacking for the second time, and that nothing is any more."""
        before = _kind(self.lack)
        self.lack = missing(self.system, self.broker) or degraded(self.system)
        kind = _kind(self.lack)
        if self.said and not self.lack:
            terminal.done("system", "everything works again")
            self.said = ""
        elif kind == before and kind != self.said:
            terminal.warning("system", self.lack)
            self.said = kind


def _kind(lack: str) -> str:
    return re.sub(r"\d+", "#", lack)


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


def answers(url: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether a GET is answered with 200."""
    return status(url, environment) == 200


def status(url: str, environment: Mapping[str, str] = os.environ) -> int:
    """Return the status with which a GET is answered through a sidecar, 0 for no answer."""
    return get(url, token_of("DAPR", environment))[0]
