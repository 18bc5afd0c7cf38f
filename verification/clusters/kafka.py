"""Three brokers of Kafka, each a controller as well: three copies of a partition, two of them before an answer."""

from toolchain.servers import kafka
from verification.clusters.nodes import Nodes, shipped

PORT, CONTROLLER = 9092, 9093


def add(nodes: Nodes, names: tuple[str, ...]) -> None:
    """Describe the brokers; none serves before two of them run."""
    part = shipped()["kafka"]
    for name in names:
        environment = {**part["environment"], **_settings(names, name)}
        nodes.add(name, {**part, "environment": environment, "volumes": []})


def addresses(names: tuple[str, ...]) -> str:
    """Return where clients find the brokers."""
    return ",".join(f"{name}:{PORT}" for name in names)


def serves(nodes: Nodes, name: str) -> bool:
    """Return whether a broker takes connections."""
    return kafka.answers((nodes.address(name), PORT))


def _settings(names: tuple[str, ...], name: str) -> dict[str, str]:
    voters = (f"{n}@{each}:{CONTROLLER}" for n, each in enumerate(names, 1))
    copies, in_order = str(len(names)), str(len(names) // 2 + 1)
    return {
        "KAFKA_NODE_ID": str(names.index(name) + 1),
        "KAFKA_LISTENERS": f"PLAINTEXT://:{PORT},CONTROLLER://:{CONTROLLER}",
        "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://{name}:{PORT}",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": ",".join(voters),
        "KAFKA_DEFAULT_REPLICATION_FACTOR": copies,
        "KAFKA_MIN_INSYNC_REPLICAS": in_order,
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": copies,
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": copies,
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": in_order,
        "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR": copies,
        "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR": in_order,
        # The copies are what makes a write last, not the disk of one broker.
        "KAFKA_LOG_FLUSH_INTERVAL_MESSAGES": str(2**63 - 1),
    }
