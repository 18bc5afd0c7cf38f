"""RabbitMQ for the project: the one that runs, else a node of the project's own."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from toolchain.machine import Machine, apt, terminal
from toolchain.machine.failure import Failure
from toolchain.servers import rabbitmq_node
from toolchain.servers.broker import Address, Broker, Product, refuse_to_replace
from toolchain.servers.rabbitmq_node import Node
from toolchain.supervise import server

NAME, VARIABLE, PACKAGE = "RabbitMQ", "RABBITMQ_URL", "rabbitmq-server"
DEFAULT_URL = "amqp://guest:guest@127.0.0.1:5672"
PAGE_ABOVE = 10000
"""As far from the usual page as the broker is from the usual broker: two may start at once."""


def address_of(machine: Machine) -> Address:
    """Return the configured address."""
    return _address(_url(machine))


def _find(machine: Machine) -> Address | None:
    url = _url(machine)
    runs = rabbitmq_node.answers(_address(url), encrypted=url.scheme == "amqps")
    return _address(url) if runs else None


@contextmanager
def _run(_machine: Machine, folder: Path, address: Address) -> Iterator[Broker]:
    node = rabbitmq_node.node_in(folder, address.port, address.port + PAGE_ABOVE)
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


def _install(machine: Machine) -> Address:
    url, address = _url(machine), address_of(machine)
    refuse_to_replace(NAME, VARIABLE, address)
    if not _is_plain(url):
        raise Failure(
            f"{NAME} does not answer at {address.text}",
            "What could be started there knows only guest/guest, without encryption or virtual hosts.",
            f"Start yours, or unset {VARIABLE}: then it is {DEFAULT_URL}",
        )
    if not rabbitmq_node.server_command(machine.system):
        otherwise = f"start one yourself, and let {VARIABLE} name it (amqp://user:password@host:port)"
        apt.provide(machine, PACKAGE, NAME, otherwise)
    return address


def _is_plain(url: SplitResult) -> bool:
    who = (url.username or "guest", url.password or "guest")
    where = url.path.lower() in ("", "/", "/%2f")
    return where and url.scheme == "amqp" and who == ("guest", "guest")


PRODUCT = Product(NAME, _find, _install, _run)
