"""RabbitMQ for the project: the one that runs, else a node of the project's own."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from toolchain.machine import Machine, apt, network, terminal
from toolchain.machine.failure import Failure
from toolchain.servers import rabbitmq_node
from toolchain.servers.broker import Address, Broker, refuse_to_replace
from toolchain.servers.rabbitmq_node import Node
from toolchain.supervise import server

NAME, VARIABLE, PACKAGE = "RabbitMQ", "RABBITMQ_URL", "rabbitmq-server"
DEFAULT_URL = "amqp://guest:guest@127.0.0.1:5672"
PAGE_ABOVE = 10000
"""As far from the usual page as the broker is from the usual broker: two may start at once."""


def address_of(machine: Machine) -> Address:
    """Return the configured address."""
    return _address(_url(machine))


def prepare(machine: Machine) -> None:
    """Install what `provide` needs to work in seconds, and print what it will use."""
    url = _url(machine)
    if _runs(url):
        terminal.done(NAME, f"already runs at {_address(url).text}")
        return
    _provide_program(machine, url)
    how = "installed; runs as a node of the project's own"
    terminal.done(NAME, f"{how} at {_address(url).text}")


@contextmanager
def provide(machine: Machine, folder: Path) -> Iterator[Broker]:
    """Yield a broker that answers at the configured address; what was started for it is stopped at the end.

    A node of the project's own keeps its data in `folder`.
    """
    url = _url(machine)
    if _runs(url):
        yield Broker(NAME, f"already running at {_address(url).text}")
        return
    _provide_program(machine, url)
    port = _address(url).port
    node = rabbitmq_node.node_in(folder, port, port + PAGE_ABOVE)
    terminal.busy(NAME, "the project's own node starts: about 8 s")
    with server.running(node.server()) as started:
        how = f"the project's own node, page {node.page} (guest/guest)"
        yield Broker(NAME, how, started, lambda topic, app: keeps(node, topic, app))


def keeps(node: Node, topic: str, app_id: str) -> bool:
    """Return whether an app's queue is there on the project's own node, and will be after a kill."""
    is_bound = rabbitmq_node.is_bound(node.page, topic, app_id)
    return is_bound and node.remembers(f"{app_id}-{topic}")


def _url(machine: Machine) -> SplitResult:
    url = urlsplit(machine.environment.get(VARIABLE) or DEFAULT_URL)
    if url.scheme not in ("amqp", "amqps") or not url.hostname:
        raise Failure(
            f"{VARIABLE} cannot be used",
            "It is not of the form amqp://user:password@host:port.",
            f"Correct it, or unset it: then it is {DEFAULT_URL}",
        )
    return url


def _address(url: SplitResult) -> Address:
    usual = 5671 if url.scheme == "amqps" else 5672
    return Address(url.hostname or "", url.port or usual)


def _runs(url: SplitResult) -> bool:
    return rabbitmq_node.answers(_address(url), encrypted=url.scheme == "amqps")


def _provide_program(machine: Machine, url: SplitResult) -> None:
    address = _address(url)
    is_taken = network.ask(address, size=0) is not None
    refuse_to_replace(NAME, VARIABLE, address, is_taken=is_taken)
    if not _is_plain(url):
        raise Failure(
            f"{NAME} does not answer at {address.text}",
            "What could be started there knows only guest/guest, without encryption or virtual hosts.",
            f"Start yours, or unset {VARIABLE}: then it is {DEFAULT_URL}",
        )
    if not rabbitmq_node.server_command(machine.system):
        otherwise = f"start one yourself, and let {VARIABLE} name it (amqp://user:password@host:port)"
        apt.provide(machine, PACKAGE, NAME, otherwise)


def _is_plain(url: SplitResult) -> bool:
    who = (url.username or "guest", url.password or "guest")
    where = url.path.lower() in ("", "/", "/%2f")
    return where and url.scheme == "amqp" and who == ("guest", "guest")
