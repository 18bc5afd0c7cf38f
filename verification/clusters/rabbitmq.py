"""Three nodes of RabbitMQ behind one name, which leads to those that run, as a Service of Kubernetes does."""

from toolchain.machine.failure import Failure
from toolchain.servers import rabbitmq_node
from verification.clusters.nodes import HERE, Nodes, shipped

NAME, AMQP = "rabbitmq", 5672
SECONDS = 10
"""After so many without a sign of a node, the others count it as gone; RabbitMQ's own setting is 60."""
QUEUE = "notification-OrderCreated"


def add(nodes: Nodes, names: tuple[str, ...]) -> None:
    """Describe the nodes of the broker."""
    part = shipped()["rabbitmq"]
    settings = {
        "RABBITMQ_ERLANG_COOKIE": "${BROKER_PASSWORD}",
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"-kernel net_ticktime {SECONDS}",
    }
    environment = {**part["environment"], **settings}
    conf = f"{HERE / 'rabbitmq.conf'}:/etc/rabbitmq/conf.d/20-cluster.conf:ro"
    for name in names:
        node = {**part, "environment": environment, "volumes": [conf]}
        nodes.add(name, node, NAME)


def serves(nodes: Nodes, name: str) -> bool:
    """Return whether a node takes connections."""
    return rabbitmq_node.answers((nodes.address(name), AMQP))


def keeps_events(nodes: Nodes) -> bool:
    """Return whether the subscription has its queue: before that, the broker drops what is published."""
    return QUEUE in nodes.run("broker-1", "rabbitmqctl", "-q", "list_bindings")


def is_whole(nodes: Nodes) -> bool:
    """Return whether each quorum queue could do without a node, and so has three copies."""
    try:
        nodes.run("broker-1", "rabbitmq-queues", "check_if_node_is_quorum_critical")
    except Failure:
        return False
    return True
