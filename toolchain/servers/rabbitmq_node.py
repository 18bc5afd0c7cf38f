"""RabbitMQ as a server of the project's own: one node with its own data, ports and settings."""

import base64
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from toolchain.machine import network
from toolchain.machine.failure import Failure
from toolchain.machine.http import get
from toolchain.runfile import free_port, is_free
from toolchain.supervise.server import Server, bare_environment

LIBRARY = "usr/lib/rabbitmq/bin/rabbitmq-server"
ERLANG_ARGUMENTS = "-start_epmd false -kernel inet_dist_use_interface {127,0,0,1}"
PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
CONNECTION_START = b"\x00\x0a\x00\x0a"
"""Class and method with which an AMQP 0-9-1 broker that takes connections answers the header."""


def answers(address: tuple[str, int], *, encrypted: bool = False) -> bool:
    """Return whether a broker takes AMQP connections there."""
    frame = network.ask(address, PROTOCOL_HEADER, size=11, encrypted=encrypted) or b""
    return frame[7:] == CONNECTION_START


def is_bound(page: str, topic: str, app_id: str) -> bool:
    """Return whether what is published to the topic reaches the app's queue.

    Dapr's component lets the broker drop what no queue is bound to, and daprd lists a subscription before its
    queue is there: before the very first subscription, only the broker knows whether an event would be kept.
    """
    exchange, queue = quote(topic, safe=""), quote(f"{app_id}-{topic}", safe="")
    login = base64.b64encode(b"guest:guest").decode()
    url = f"{page}/api/bindings/%2F/e/{exchange}/q/{queue}"
    status, body = get(url, {"Authorization": f"Basic {login}"})
    return status == 200 and bool(json.loads(body))


@dataclass(frozen=True)
class Node:
    """A node that can be started: its name, its ports, and the folder of its data, settings and log."""

    folder: Path
    amqp_port: int
    management_port: int
    dist_port: int
    epmd_port: int
    name: str = "orders"

    @property
    def url(self) -> str:
        """The address for AMQP clients."""
        return f"amqp://guest:guest@127.0.0.1:{self.amqp_port}"

    @property
    def page(self) -> str:
        """The address of the management page (guest/guest)."""
        return f"http://127.0.0.1:{self.management_port}"

    def remembers(self, queue: str) -> bool:
        """Return whether a quorum queue will be there after a kill.

        RabbitMQ 3.10 stores the names of new ones about a second later: killed before that, it starts again
        with a queue that never gets a leader, and no publish to it is ever confirmed.
        """
        names = self.folder.glob("data/*/quorum/*/names.dets")
        return any(queue.encode() in each.read_bytes() for each in names)

    def server(self) -> Server:
        """Return how it is started; raises Failure where RabbitMQ is not installed."""
        server, epmd = server_command(), shutil.which("epmd")
        if not (server and epmd):
            raise Failure(
                "The project's own RabbitMQ node could not be started",
                "RabbitMQ is not installed on this machine.",
                "Type: make setup",
            )
        # The daemon of names comes first, as our child: one that Erlang starts would stay behind.
        commands = (epmd, "-port", str(self.epmd_port)), (str(server),)
        return Server(
            "RabbitMQ",
            self.folder,
            commands,
            _environment(self),
            lambda: answers(("127.0.0.1", self.amqp_port)),
            lambda: _write_settings(self),
        )


def node_in(folder: Path, amqp_port: int = 0, management_port: int = 0) -> Node:
    """Return a node with its data in that folder; for 0, or a page's port that is taken, a free one."""
    page = management_port if management_port and is_free(management_port) else 0
    amqp, page, dist, epmd = (each or free_port() for each in (amqp_port, page, 0, 0))
    return Node(folder.absolute(), amqp, page, dist, epmd)


def server_command(system: Path = Path("/")) -> Path | None:
    """Return the script that starts a node, if it is installed; the one on the PATH changes the user."""
    command = system / LIBRARY
    return command if command.exists() else None


def _write_settings(node: Node) -> None:
    for name, text in {
        "rabbitmq.conf": f"management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {node.management_port}\n",
        "advanced.config": "[].\n",
        "enabled_plugins": "[rabbitmq_management].\n",
    }.items():
        (node.folder / name).write_text(text)


def _environment(node: Node) -> dict[str, str]:
    """Return all that the node reads, so that no variable or file of this machine changes it."""
    folder = node.folder
    return {
        **bare_environment(folder),
        "ERL_EPMD_PORT": str(node.epmd_port),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        "RABBITMQ_NODENAME": f"{node.name}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(node.amqp_port),
        "RABBITMQ_DIST_PORT": str(node.dist_port),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_PID_FILE": str(folder / "node.pid"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_CONFIG_FILES": str(folder / "none.d"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": ERLANG_ARGUMENTS,
        # The script then becomes beam instead of watching over it: our child is beam itself.
        "RUNNING_UNDER_SYSTEMD": "true",
    }
