"""Three brokers of Kafka, each a controller as well: three copies of a partition, two of them before an answer."""

from dataclasses import replace
from pathlib import Path

from toolchain.machine import this_machine
from toolchain.servers import kafka
from toolchain.supervise.server import Server
from verification.clusters.network import Network

PORT, CONTROLLER = 9092, 9093


def servers(network: Network, hosts: tuple[str, ...], folder: Path) -> list[Server]:
    """Return how each broker is started; none serves before two of them run."""
    return [_server(network, hosts, host, folder / host) for host in hosts]


def addresses(network: Network, hosts: tuple[str, ...]) -> str:
    """Return where clients find the brokers."""
    return ",".join(f"{network.address(host)}:{PORT}" for host in hosts)


def _server(
    network: Network, hosts: tuple[str, ...], host: str, folder: Path
) -> Server:
    address = network.address(host)
    own = kafka.server_in(
        this_machine(), folder, PORT, _settings(network, hosts, address)
    )
    return replace(
        own,
        name=f"Kafka on {host}",
        commands=tuple(network.inside(host, each) for each in own.commands),
        serves=lambda: kafka.answers((address, PORT)),
    )


def _settings(network: Network, hosts: tuple[str, ...], address: str) -> dict[str, str]:
    numbered = [(n, network.address(host)) for n, host in enumerate(hosts, 1)]
    voters = (f"{n}@{each}:{CONTROLLER}" for n, each in numbered)
    copies, in_order = str(len(hosts)), str(len(hosts) // 2 + 1)
    return {
        "node.id": str(next(n for n, each in numbered if each == address)),
        "listeners": f"PLAINTEXT://{address}:{PORT},CONTROLLER://{address}:{CONTROLLER}",
        "advertised.listeners": f"PLAINTEXT://{address}:{PORT}",
        "controller.quorum.voters": ",".join(voters),
        "default.replication.factor": copies,
        "min.insync.replicas": in_order,
        "offsets.topic.replication.factor": copies,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": in_order,
        "share.coordinator.state.topic.replication.factor": copies,
        "share.coordinator.state.topic.min.isr": in_order,
        # The copies are what makes a write last, not the disk of one broker.
        "log.flush.interval.messages": str(2**63 - 1),
    }
