"""RabbitMQ for the project: the one that runs, else a node of its own, else a container."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from toolchain.machine import Machine, apt, say
from toolchain.machine.failure import Failure
from toolchain.servers import amqp, container, rabbitmq_node, rabbitmq_page
from toolchain.servers.broker import Broker
from toolchain.supervise import server

DEFAULT_URL = "amqp://guest:guest@127.0.0.1:5672"
PAGE_PORT, PAGE_ABOVE = 15672, 10000
NAME = "RabbitMQ"
HERE = ("127.0.0.1", "localhost")
Way = Literal["running", "node", "package", "container"]


@dataclass(frozen=True)
class Address:
    """Where the broker is to be found, as RABBITMQ_URL says it."""

    url: str
    host: str
    port: int
    encrypted: bool

    @property
    def text(self) -> str:
        """Host and port, without the password."""
        return f"{self.host}:{self.port}"


def address_of(machine: Machine) -> Address:
    """The configured address."""
    url = machine.environment.get("RABBITMQ_URL") or DEFAULT_URL
    parts = urlsplit(url)
    encrypted = parts.scheme == "amqps"
    if parts.scheme not in ("amqp", "amqps") or not parts.hostname:
        raise Failure(
            "RABBITMQ_URL cannot be used",
            "It is not of the form amqp://user:password@host:port.",
            f"Correct it, or unset it: then it is {DEFAULT_URL}",
        )
    return Address(
        url, parts.hostname, parts.port or (5671 if encrypted else 5672), encrypted
    )


def prepare(machine: Machine) -> None:
    """Install or fetch what `provide` needs to work in seconds, and say what it will use."""
    address = address_of(machine)
    found, way = _look(machine, address)
    if way == "package":
        apt.install(machine, "rabbitmq-server", 1)
    elif way == "container":
        container.fetch(machine)
    say.done("RabbitMQ", _outlook(address, found, way))


@contextmanager
def provide(machine: Machine, folder: Path | None = None) -> Iterator[Broker]:
    """A broker that answers at the configured address; what was started for it is stopped at the end.

    A node of the project's own keeps its data in `folder`.
    """
    address = address_of(machine)
    found, way = _look(machine, address)
    if way == "running":
        yield Broker(
            NAME,
            f"already running ({found.product} {found.version}) at {address.text}",
        )
    elif way == "container":
        with _in_container(machine, address) as broker:
            yield broker
    else:
        if way == "package":
            apt.install(machine, "rabbitmq-server", 1)
        with _own_node(
            address, folder or machine.root / ".local" / "rabbitmq"
        ) as broker:
            yield broker


def _look(machine: Machine, address: Address) -> tuple[amqp.Probe, Way]:
    found = amqp.probe(address.host, address.port, encrypted=address.encrypted)
    if found.found == "rabbitmq":
        return found, "running"
    _refuse_what_cannot_be_started(address, found)
    return found, _way_to_start(machine)


def _refuse_what_cannot_be_started(address: Address, found: amqp.Probe) -> None:
    if found.found == "something else":
        raise Failure(
            f"RabbitMQ does not answer at {address.text}",
            "Something else listens there, or it does not talk to us.",
            "End that program, or let RABBITMQ_URL name another port: amqp://guest:guest@127.0.0.1:5673",
        )
    if address.host not in HERE:
        raise Failure(
            f"RabbitMQ does not answer at {address.text}",
            "RABBITMQ_URL names another machine, and none is started here in its place.",
            "Start it there, correct RABBITMQ_URL, or unset it.",
        )
    if not _plain(address):
        raise Failure(
            f"RabbitMQ does not answer at {address.text}",
            "What could be started there knows only guest/guest, without encryption or virtual hosts.",
            f"Start yours, or unset RABBITMQ_URL: then it is {DEFAULT_URL}",
        )


def _plain(address: Address) -> bool:
    parts = urlsplit(address.url)
    ordinary = parts.path.lower() in ("", "/", "/%2f") and not address.encrypted
    return ordinary and (parts.username or "guest", parts.password or "guest") == (
        "guest",
        "guest",
    )


def _way_to_start(machine: Machine) -> Way:
    if rabbitmq_node.server_command(machine.system) and not apt.unfinished(
        apt.policy_of(machine)
    ):
        return "node"
    if apt.available(machine):
        return "package"
    if container.available(machine):
        return "container"
    raise Failure(
        "There is no RabbitMQ, and none can be started",
        "Nothing listens, packages cannot be installed without a password, and no Docker engine answers.",
        "One of these helps:\n"
        "  start one yourself, and let RABBITMQ_URL say where it is (amqp://user:password@host:port)\n"
        "  sudo apt-get install rabbitmq-server\n"
        "  start Docker",
    )


def keeps(node: rabbitmq_node.Node, topic: str, app_id: str) -> bool:
    """Tell of the project's own node whether an app's queue is there, and will be after a kill."""
    return rabbitmq_page.keeps(node.page)(topic, app_id) and node.remembers(
        f"{app_id}-{topic}"
    )


@contextmanager
def _own_node(address: Address, folder: Path) -> Iterator[Broker]:
    # As far from the usual page as the broker is from the usual broker: two may start at once.
    node = rabbitmq_node.node_in(folder, address.port, address.port + PAGE_ABOVE)
    say.busy("RabbitMQ", "the project's own node starts: about 8 s")
    with server.running(node.server()) as started:
        how = f"the project's own node, page {node.page} (guest/guest)"
        yield Broker(NAME, how, started, lambda topic, app: keeps(node, topic, app))


@contextmanager
def _in_container(machine: Machine, address: Address) -> Iterator[Broker]:
    container.fetch(machine)
    say.busy("RabbitMQ", "its container starts: about 10 s")
    try:
        container.start(machine, address.port, PAGE_PORT)
        _wait_for_container(machine, address)
        page = f"http://127.0.0.1:{PAGE_PORT}"
        how = f"a container, page {page} (guest/guest)"
        yield Broker(NAME, how, keeps=rabbitmq_page.keeps(page))
    finally:
        container.stop(machine)


def _wait_for_container(machine: Machine, address: Address) -> None:
    deadline = time.monotonic() + server.STARTS_WITHIN
    while amqp.probe(address.host, address.port).found != "rabbitmq":
        if time.monotonic() > deadline:
            raise Failure(
                "RabbitMQ's container does not answer",
                container.logs(machine) or "It said nothing.",
                f"See what Docker says of it: docker logs {container.NAME}",
            )
        time.sleep(0.2)


def _outlook(address: Address, found: amqp.Probe, way: Way) -> str:
    if way == "running":
        return f"{found.product} {found.version} already runs at {address.text}"
    if way == "container":
        return f"runs in a container ({container.IMAGE}) at {address.text}"
    return f"installed; runs as a node of the project's own at {address.text}"
