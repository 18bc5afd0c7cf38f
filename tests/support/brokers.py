"""The brokers that tests start for themselves."""

from collections.abc import Callable
from pathlib import Path

from toolchain import kafka, rabbitmq, rabbitmq_node, redis
from toolchain.broker import Broker
from toolchain.machine import this_machine
from toolchain.runfile import System
from toolchain.server import Server


def own_broker(
    system: System, folder: Path
) -> tuple[Server, Callable[[str, str], bool]]:
    """Say how the system's broker is started, and what tells whether it keeps a topic for an app."""
    data, port = folder / system.broker, system.port(system.broker)
    if system.broker == "rabbitmq":
        node = rabbitmq_node.node_in(data, port)
        return node.server(), lambda topic, app: rabbitmq.keeps(node, topic, app)
    make = {"redis": redis.server_in, "kafka": kafka.server_in}[system.broker]
    return make(this_machine(), data, port), Broker("", "").keeps
