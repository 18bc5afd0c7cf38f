"""The whole system in containers, for tests: orders by its gateway, kills of its parts, mails that arrived."""

import json
import os
import shutil
import signal
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import httpx

from tests.support.eventually import within
from toolchain import containers
from toolchain.machine import this_machine
from toolchain.runfile import free_offset
from toolchain.servers.gateway import any_certificate
from toolchain.up import stack as stacks
from toolchain.up.stack import Stack

PATIENCE = 150.0


@dataclass
class System:
    """A system that runs, and the orders that it has accepted, by name."""

    stack: Stack
    client: httpx.Client
    accepted: dict[str, str] = field(default_factory=dict)

    def place(self, name: str) -> None:
        """Place an order as a customer would: again, with the same key, until it is accepted."""
        body = {"customerName": name, "customerEmail": f"{name}@example.org"}
        key = {"idempotency-key": str(uuid.uuid4())}
        within(
            PATIENCE, lambda: self._is_accepted(name, body, key), f"{name} is accepted"
        )

    def _is_accepted(
        self, name: str, body: dict[str, str], key: dict[str, str]
    ) -> bool:
        try:
            answer = self.client.post("/api/order", json=body, headers=key)
        except httpx.HTTPError:
            return False
        if answer.status_code == 201:
            self.accepted[name] = answer.json()["orderId"]
        return answer.status_code == 201

    def states(self) -> dict[str, str]:
        """Return what became of each order's notification, by the order's id, as the order service shows it."""
        try:
            return {name: self._state(order) for name, order in self.accepted.items()}
        except (httpx.HTTPError, KeyError):
            return {}

    def placed(self) -> Counter[str]:
        """Return how many orders there are of each name."""
        items = self.client.get("/api/order", params={"limit": 100}).json()["items"]
        return Counter(each["customerName"] for each in items)

    def mails(self) -> Counter[str]:
        """Return how many mails each address has got."""
        found = self.run(
            "mail", "cat /data/mail/new/* 2>/dev/null | grep -i ^to: || true"
        )
        return Counter(
            line.split(":", 1)[1].strip().strip("<>") for line in found.splitlines()
        )

    def targets(self) -> Counter[str]:
        """Return how many of Prometheus' targets are up, down or not read yet."""
        answer = httpx.get(f"{self.stack.page('prometheus')}api/v1/targets")
        return Counter(
            each["health"] for each in answer.json()["data"]["activeTargets"]
        )

    def traced(self, name: str) -> set[str]:
        """Return what the trace of an order goes through, where the viewer has it."""
        path = f"/api/order/{self.accepted[name]}/journey"
        trace = self.client.get(path).raise_for_status().json()["event"]["traceId"]
        answer = httpx.get(f"{self.stack.page('zipkin')}api/v2/trace/{trace}")
        found = answer.json() if answer.status_code == 200 else []
        return {each["localEndpoint"]["serviceName"] for each in found}

    def run(self, part: str, command: str) -> str:
        """Run a shell's command in a part's container, and return what it prints."""
        there = self.stack.container(part)
        return self.stack.engine.docker("exec", there, "sh", "-c", command)

    def kill(self, part: str) -> None:
        """Kill the process of a part, as a fault does: `docker kill` would keep it from being started again."""
        pid = self.inspected(part)["State"]["Pid"]
        os.kill(pid, signal.SIGKILL)
        within(
            PATIENCE,
            lambda: self.inspected(part)["State"]["Pid"] not in (0, pid),
            f"{part} starts again",
        )

    def inspected(self, part: str) -> dict[str, Any]:
        """Return what the engine knows of a part's container."""
        found = self.stack.engine.docker("inspect", self.stack.container(part))
        first: dict[str, Any] = json.loads(found)[0]
        return first

    def _state(self, order: str) -> str:
        answer = self.client.get(f"/api/order/{order}").raise_for_status().json()
        return str((answer["notification"] or {}).get("state"))


@contextmanager
def system_in_containers() -> Iterator[System]:
    """Build and start a system at a free offset; remove its containers, networks, volumes and folder."""
    # What the tests read of a part, images of the makers may keep elsewhere.
    this = this_machine()
    machine = replace(this, environment={**this.environment, "IMAGES": "local"})
    with containers.running(machine) as engine:
        broker = machine.environment.get("BROKER") or "rabbitmq"
        stack = stacks.describe(machine, engine, free_offset(), broker)
        try:
            stack.compose("up", "--detach")
            stacks.wait(stack)
            # Its certificate is its own.
            here, trusted = f"https://localhost:{stack.port}", any_certificate()
            with httpx.Client(base_url=here, verify=trusted, timeout=10) as client:
                yield System(stack, client)
        finally:
            stack.compose("down", "--volumes", "--remove-orphans")
            shutil.rmtree(stack.folder.parent)
