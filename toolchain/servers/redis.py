"""Redis for the project: the one that runs, else a server of its own from the distribution's package."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from toolchain.machine import Machine, apt, find, network, terminal
from toolchain.machine.failure import Failure
from toolchain.servers.broker import Address, Broker, Product, refuse_to_replace
from toolchain.supervise import server
from toolchain.supervise.server import Server

NAME, VARIABLE, PACKAGE = "Redis", "REDIS_HOST", "redis-server"
DEFAULT_HOST = "127.0.0.1:6379"
DURABLE: Mapping[str, str] = {
    "appendonly": "yes",
    "appendfsync": "always",
    "maxmemory-policy": "noeviction",
}
"""With these settings Redis keeps what it has accepted: on disk before it answers, and never evicted."""
PING, QUIT = b"PING\r\n", b"QUIT\r\n"
"""Redis takes commands as plain lines too, and closes the connection after QUIT."""


def address_of(machine: Machine) -> Address:
    """Return the configured address."""
    text = machine.environment.get(VARIABLE) or DEFAULT_HOST
    host, _, port = text.partition(":")
    port = port or "6379"
    if not host or not port.isdecimal() or "/" in host:
        raise Failure(
            f"{VARIABLE} cannot be used",
            "It is not of the form host:port.",
            f"Correct it, or unset it: then it is {DEFAULT_HOST}",
        )
    return Address(host, int(port))


def answers(address: tuple[str, int]) -> bool:
    """Return whether a Redis takes commands there."""
    return (network.ask(address, PING + QUIT, size=5) or b"") == b"+PONG"


def missing(address: Address) -> list[str]:
    """Return the settings that the Redis there lacks to keep everything, as they should be."""
    questions = "".join(f"CONFIG GET {name}\r\n" for name in DURABLE).encode()
    answer = network.ask(address, questions + QUIT, size=10_000) or b""
    lines = answer.decode(errors="replace").split("\r\n")
    # A setting comes as its name, the length of its value, and its value; a hosted Redis answers with none.
    found = dict(zip(lines, lines[2:], strict=False))
    lacking = [name for name, value in DURABLE.items() if found.get(name) != value]
    return [f"{name} {DURABLE[name]}" for name in lacking]


def _find(machine: Machine) -> Address | None:
    address = address_of(machine)
    if not answers(address):
        return None
    _warn_of_losses(address)
    return address


@contextmanager
def _run(machine: Machine, folder: Path, address: Address) -> Iterator[Broker]:
    with server.running(server_in(machine, folder, address.port)) as started:
        how = f"the project's own server at {address.text}, every write on disk"
        yield Broker(NAME, how, started)


def server_in(machine: Machine, folder: Path, port: int) -> Server:
    """Return how a server with its data in that folder is started; raises Failure where there is no Redis."""
    command = find(machine, "redis-server")
    if command is None:
        raise Failure(
            "The project's own Redis could not be started",
            "Redis is not installed on this machine.",
            f"Type: sudo apt-get install {PACKAGE}",
        )
    folder = folder.absolute()
    return Server(
        NAME,
        folder,
        ((str(command), str(folder / "redis.conf")),),
        server.bare_environment(folder),
        lambda: answers(("127.0.0.1", port)),
        lambda: _write_settings(folder, port),
    )


def _install(machine: Machine) -> Address:
    address = address_of(machine)
    refuse_to_replace(NAME, VARIABLE, address)
    if not find(machine, "redis-server"):
        otherwise = f"start one yourself, and let {VARIABLE} name it (host:port)\n"
        otherwise += "  make run, with the broker that dapr.yaml names"
        apt.provide(machine, PACKAGE, NAME, otherwise)
    return address


def _warn_of_losses(address: Address) -> None:
    if lacking := missing(address):
        terminal.warning(
            NAME,
            f"the one at {address.text} may lose what it has accepted: as far as can be seen, it lacks\n"
            f"{', '.join(lacking)} (redis-cli config set …).\n"
            "Stop it, and `make run` starts one that has them.",
        )


def _write_settings(folder: Path, port: int) -> None:
    (folder / "data").mkdir(exist_ok=True)
    settings = {
        "bind": "127.0.0.1",
        "port": str(port),
        "daemonize": "no",
        "dir": f'"{folder / "data"}"',
        # No snapshots: the log of all writes is the one truth.
        "save": '""',
        **DURABLE,
    }
    lines = [f"{name} {value}\n" for name, value in settings.items()]
    (folder / "redis.conf").write_text("".join(lines))


PRODUCT = Product(NAME, _find, _install, _run)
