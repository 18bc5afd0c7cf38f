"""Kafka for the project: the one that runs, else a broker of its own in KRaft mode, without ZooKeeper."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from toolchain.machine import Machine, network, processes, terminal
from toolchain.machine.failure import Failure
from toolchain.servers import kafka_jars
from toolchain.servers.broker import HERE, Address, Broker, Product, refuse_to_replace
from toolchain.supervise import server
from toolchain.supervise.locks import remove
from toolchain.supervise.server import Server

NAME, VARIABLE = "Kafka", "KAFKA_BROKERS"
DEFAULT_BROKERS = "127.0.0.1:9092"
SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    # Alone, it is every replica that there is.
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # What it has accepted is on disk. Kafka leaves that to the replicas, and there are none.
    "log.flush.interval.messages": "1",
    # Nothing is removed by its age: after a week, Kafka would throw away what nobody has read yet.
    "log.retention.ms": "-1",
    # A topic comes into being when it is first used, with so many messages under way at once in a service.
    "auto.create.topics.enable": "true",
    "num.partitions": "4",
    "offsets.topic.num.partitions": "4",
    # The first consumer of a group does not wait for others, ...
    "group.initial.rebalance.delay.ms": "0",
    # ... and after a kill the broker does not wait long for itself.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
}


METADATA_REQUEST = b"\0\0\0\x0e\0\x03\0\x01\0\0\0\x07\xff\xff\0\0\0\0"
"""Size, Metadata, version 1, correlation id 7, no client id, no topics: which brokers are there?"""


def answers(address: tuple[str, int]) -> bool:
    """Return whether a Kafka serves there; one that is still starting knows of no broker."""
    answer = network.ask(address, METADATA_REQUEST, size=12) or b""
    return answer[4:8] == METADATA_REQUEST[8:12] and answer[8:12] > bytes(4)


def addresses_of(machine: Machine) -> list[Address]:
    """Return the configured addresses: any one of them leads to all brokers of a cluster."""
    brokers = machine.environment.get(VARIABLE) or DEFAULT_BROKERS
    pairs = [each.strip().rpartition(":") for each in brokers.split(",")]
    if not all(host and port.isdecimal() for host, _, port in pairs):
        raise Failure(
            "KAFKA_BROKERS cannot be used",
            "It is not of the form host:port, or several of these with commas between.",
            f"Correct it, or unset it: then it is {DEFAULT_BROKERS}",
        )
    return [Address(host, int(port)) for host, _, port in pairs]


def _find(machine: Machine) -> Address | None:
    return next((each for each in addresses_of(machine) if answers(each)), None)


def _install(machine: Machine) -> Address:
    addresses = addresses_of(machine)
    # One that is on another machine, if any: those brokers are a cluster, and none is started in its place.
    others = [each for each in addresses if each.host not in HERE]
    refuse_to_replace(NAME, VARIABLE, (others or addresses)[0])
    kafka_jars.java(machine)
    kafka_jars.provide(machine)
    return addresses[0]


@contextmanager
def _run(machine: Machine, folder: Path, address: Address) -> Iterator[Broker]:
    terminal.busy(NAME, "the project's own broker starts: about 5 s")
    with server.running(server_in(machine, folder, address.port)) as started:
        how = f"the project's own broker at {address.text}, every write on disk"
        yield Broker(NAME, how, started)


def server_in(
    machine: Machine,
    folder: Path,
    port: int,
    settings: Mapping[str, str] = MappingProxyType({}),
) -> Server:
    """Return how a broker with its data in that folder is started; its controller listens one port higher.

    It has these `settings` instead of those that it would have alone.
    """
    folder = folder.absolute()
    program = (
        str(kafka_jars.java(machine)),
        "-Djava.net.preferIPv4Stack=true",
        "-cp",
        f"{kafka_jars.provide(machine)}/*",
    )
    environment = server.bare_environment(folder)
    heap = ("-Xms128m", "-Xmx512m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
    return Server(
        NAME,
        folder,
        ((*program, *heap, "kafka.Kafka", str(folder / "server.properties")),),
        environment,
        lambda: answers(("127.0.0.1", port)),
        lambda: _prepare_folder(
            program, environment, folder, {**_alone(port), **settings}
        ),
    )


def _alone(port: int) -> dict[str, str]:
    here, controller = f"127.0.0.1:{port}", f"127.0.0.1:{port + 1}"
    return {
        **SETTINGS,
        "listeners": f"PLAINTEXT://{here},CONTROLLER://{controller}",
        "advertised.listeners": f"PLAINTEXT://{here}",
        "controller.quorum.voters": f"1@{controller}",
    }


def _prepare_folder(
    program: tuple[str, ...],
    environment: dict[str, str],
    folder: Path,
    wanted: Mapping[str, str],
) -> None:
    settings = {**wanted, "log.dirs": str(folder / "data")}
    lines = [f"{name}={value}\n" for name, value in settings.items()]
    (folder / "server.properties").write_text("".join(lines))
    if not (folder / "data" / "meta.properties").exists():
        _format(program, environment, folder)


def _format(
    program: tuple[str, ...], environment: dict[str, str], folder: Path
) -> None:
    # What an interrupted attempt left: nothing was ever stored in it.
    remove(folder / "data")
    tool = (*program, "kafka.tools.StorageTool", "format", "-t", "orders-on-dapr")
    command = (*tool, "-c", str(folder / "server.properties"))
    processes.carry_out(
        processes.Task(command, folder, environment, folder / "format.log"),
        NAME,
        "The storage of the project's own Kafka could not be prepared",
        f"Check that {folder} can be written to.",
    )


PRODUCT = Product(NAME, _find, _install, _run)
