"""The system in containers: a broker of three nodes, a primary and its standby, several of each service."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from toolchain import containers
from toolchain.machine import this_machine
from toolchain.machine.http import get
from toolchain.runfile import free_offset
from toolchain.up.stack import describe
from verification.chaos.plan import APPS, NODES, Fault, Setting
from verification.chaos.reading import Reader
from verification.chaos.run import UnderTest
from verification.clusters import kafka, rabbitmq
from verification.clusters.faults import BROKERS, Clusters, becomes, container_of
from verification.clusters.nodes import Nodes, shipped
from verification.clusters.postgresql import Pair

BROKER_NODES = tuple(map(container_of, NODES))
DATABASES = ("database-1", "database-2")
READY_WITHIN = 240.0


@contextmanager
def nodes_in(folder: Path, broker: str) -> Iterator[Nodes]:
    """Yield nodes of which none is described yet; no container, network or volume of theirs is left at the end."""
    this = this_machine()
    # The scripts that start servers here know the images of this project.
    machine = replace(this, environment={**this.environment, "IMAGES": "local"})
    with containers.running(machine) as engine:
        stack = describe(machine, engine, free_offset(), broker)
        nodes = Nodes(replace(stack, file=(folder / "compose.yaml").absolute()))
        try:
            yield nodes
        finally:
            nodes.end()
            shutil.rmtree(stack.folder.parent)


@asynccontextmanager
async def running(
    folder: Path, setting: Setting, _faults: Sequence[Fault] = (), _orders: int = 0
) -> AsyncIterator[UnderTest]:
    """Run the whole system on clusters; nothing of it is left at the end."""
    with nodes_in(folder, setting.broker) as nodes:
        pair = Pair(nodes, DATABASES, setting.synchronous)
        clusters = Clusters(nodes, pair, setting.broker)
        await _start(clusters, setting, folder)
        yield UnderTest(
            setting,
            _urls(nodes, setting, "order"),
            {name: Reader(pair.url(name, from_here=True)) for name in APPS},
            folder / "mails",
            lambda: [
                nodes.log(container_of(each), folder)
                for each in setting.notification_apps
            ],
            clusters.inject,
            lambda: _keep(nodes, folder),
        )


async def _start(clusters: Clusters, setting: Setting, folder: Path) -> None:
    nodes, pair = clusters.nodes, clusters.pair
    pair.add()
    BROKERS[setting.broker].add(nodes, BROKER_NODES)
    nodes.add("mail", {**shipped()["mail"], "volumes": [f"{folder / 'mails'}:/data"]})
    for app in setting.apps:
        _add(nodes, app, pair.url(app.split()[0]))
    await asyncio.to_thread(pair.start)
    # A quorum queue gets a copy on each node that is there when it is made; a pod makes the sidecars' names.db.
    await asyncio.to_thread(nodes.up, *BROKER_NODES, "mail", "order-pod")
    for name in BROKER_NODES:
        await becomes(partial(clusters.serves, name), f"{name} serves", READY_WITHIN)
    await asyncio.to_thread(nodes.up)
    await becomes(lambda: _is_ready(nodes, setting), "all is ready", READY_WITHIN)


def _add(nodes: Nodes, app: str, url: str) -> None:
    """Describe a process of a service and its sidecar, with a pod of their own."""
    parts, app_id, name = shipped(), app.split(maxsplit=1)[0], container_of(app)
    service, sidecar = parts[app_id], parts[f"{app_id}-dapr"]
    pod = f"{name}-pod"
    nodes.add(pod, parts[f"{app_id}-pod"])
    environment = {**service["environment"], "DATABASE_URL": url}
    nodes.add_beside(name, {**service, "environment": environment}, pod)
    # Customers are on this machine: in the network, and not in the pod.
    command = [*sidecar["command"], "--dapr-listen-addresses=0.0.0.0"]
    environment = {
        **sidecar["environment"],
        "KAFKA_BROKERS": kafka.addresses(BROKER_NODES),
    }
    beside = {**sidecar, "command": command, "environment": environment}
    nodes.add_beside(f"{name}-sidecar", beside, pod)


def _urls(nodes: Nodes, setting: Setting, app_id: str) -> list[str]:
    at = [nodes.address(container_of(each)) for each in setting.order_apps]
    return [f"http://{each}:3500/v1.0/invoke/{app_id}/method" for each in at]


def _is_ready(nodes: Nodes, setting: Setting) -> bool:
    urls = [url for app_id in APPS for url in _urls(nodes, setting, app_id)]
    if any(get(f"{url}/readyz", {})[0] != 200 for url in urls):
        return False
    return setting.broker == "kafka" or rabbitmq.keeps_events(nodes)


def _keep(nodes: Nodes, folder: Path) -> None:
    for name in nodes.services:
        nodes.log(name, folder)
