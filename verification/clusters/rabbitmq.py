"""Three nodes of RabbitMQ as one cluster: its quorum queues have a copy on each."""

import base64
import json
from dataclasses import replace
from pathlib import Path

from toolchain.machine.http import get
from toolchain.servers import rabbitmq_node
from toolchain.servers.rabbitmq_node import Node
from toolchain.supervise.server import Server
from verification.clusters.network import Network

AMQP, PAGE, DIST, EPMD = 5672, 15672, 25672, 4369
COOKIE = "the same on every node"
SECONDS = 10
"""After so many without a sign of a node, the others count it as gone; RabbitMQ's own setting is 60."""


def servers(network: Network, hosts: tuple[str, ...], folder: Path) -> list[Server]:
    """Return how each node is started, the first one first: the others join it."""
    return [_server(network, hosts, host, folder / host) for host in hosts]


def page(network: Network, host: str) -> str:
    """Return a node's page."""
    return f"http://{network.address(host)}:{PAGE}"


def is_whole(network: Network, hosts: tuple[str, ...]) -> bool:
    """Return whether every quorum queue has a copy in order on every node."""
    login = base64.b64encode(b"guest:guest").decode()
    url = f"{page(network, hosts[0])}/api/queues"
    status, body = get(url, {"Authorization": f"Basic {login}"})
    queues = json.loads(body) if status == 200 else []
    quorum = [each for each in queues if each.get("type") == "quorum"]
    return bool(quorum) and all(
        len(each.get("online", ())) == len(hosts) for each in quorum
    )


def _server(
    network: Network, hosts: tuple[str, ...], host: str, folder: Path
) -> Server:
    own = Node(folder.absolute(), AMQP, PAGE, DIST, EPMD).server()
    address = network.address(host)
    kernel = f"-start_epmd false -kernel net_ticktime {SECONDS}"
    environment = {
        **own.environment,
        "ERL_EPMD_ADDRESS": address,
        "RABBITMQ_USE_LONGNAME": "true",
        "RABBITMQ_NODENAME": f"rabbit@{address}",
        "RABBITMQ_NODE_IP_ADDRESS": address,
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": kernel,
    }

    def prepare() -> None:
        own.prepare()
        _write_settings(network, hosts, folder)

    return replace(
        own,
        name=f"RabbitMQ on {host}",
        commands=tuple(network.inside(host, each) for each in own.commands),
        environment=environment,
        serves=lambda: rabbitmq_node.answers((address, AMQP)),
        prepare=prepare,
    )


def _write_settings(network: Network, hosts: tuple[str, ...], folder: Path) -> None:
    discovery = "cluster_formation.peer_discovery_backend = classic_config\n"
    for number, host in enumerate(hosts, 1):
        name = f"rabbit@{network.address(host)}"
        discovery += f"cluster_formation.classic_config.nodes.{number} = {name}\n"
    (folder / "rabbitmq.conf").write_text(
        f"management.tcp.port = {PAGE}\n"
        "loopback_users = none\n"
        # A node that sees fewer than half of the others serves nobody.
        f"cluster_partition_handling = pause_minority\n{discovery}"
    )
    cookie = folder / ".erlang.cookie"
    cookie.touch(0o600)
    cookie.write_text(COOKIE.replace(" ", "-"))
