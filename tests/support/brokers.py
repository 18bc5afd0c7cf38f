"""The brokers that tests start for themselves."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from toolchain.machine import this_machine
from toolchain.runfile import System
from toolchain.servers import kafka, rabbitmq, rabbitmq_node, redis
from toolchain.servers.broker import Broker
from toolchain.supervise.server import Server


@dataclass(frozen=True)
class OwnBroker:
    """How a broker is started, what tells whether it keeps a topic for an app, and its page if it has one."""

    server: Server
    keeps: Callable[[str, str], bool] = Broker("", "").keeps
    page: str = ""


def own_broker(system: System, folder: Path) -> OwnBroker:
    """Make the broker of a system, with its data in this folder."""
    data, port = folder / system.broker, system.port(system.broker)
    if system.broker == "rabbitmq":
        node = rabbitmq_node.node_in(data, port)
        keeps = partial(rabbitmq.keeps, node)
        return OwnBroker(node.server(), keeps, node.page)
    make = {"redis": redis.server_in, "kafka": kafka.server_in}[system.broker]
    return OwnBroker(make(this_machine(), data, port))
