"""Redis for the project: the one that runs, else a server of its own from the distribution's package."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from toolchain.machine import Machine, apt, find, say
from toolchain.machine.failure import Failure
from toolchain.servers import resp
from toolchain.servers.broker import Broker
from toolchain.supervise import server
from toolchain.supervise.server import Server

DEFAULT_HOST = "127.0.0.1:6379"
NAME = "Redis"
PACKAGE = "redis-server"
HERE = ("127.0.0.1", "localhost")
Way = Literal["running", "own", "package"]


@dataclass(frozen=True)
class Address:
    """Where the broker is to be found, as REDIS_HOST says it."""

    host: str
    port: int

    @property
    def text(self) -> str:
        """Host and port."""
        return f"{self.host}:{self.port}"


def address_of(machine: Machine) -> Address:
    """The configured address."""
    text = machine.environment.get("REDIS_HOST") or DEFAULT_HOST
    host, _, port = text.partition(":")
    port = port or "6379"
    if not host or not port.isdecimal() or "/" in host:
        raise Failure(
            "REDIS_HOST cannot be used",
            "It is not of the form host:port.",
            f"Correct it, or unset it: then it is {DEFAULT_HOST}",
        )
    return Address(host, int(port))


def prepare(machine: Machine) -> None:
    """Install what `provide` needs to work in a second, and say what it will use."""
    address = address_of(machine)
    found, way = _look(machine, address)
    if way == "package":
        apt.install(machine, PACKAGE, 1)
    if way == "running":
        say.done(NAME, f"{found.version} already runs at {address.text}")
    else:
        say.done(NAME, f"installed; runs as the project's own server at {address.text}")


@contextmanager
def provide(machine: Machine, folder: Path) -> Iterator[Broker]:
    """A broker that answers at the configured address; what was started for it is stopped at the end.

    A server of the project's own keeps its data in `folder`.
    """
    address = address_of(machine)
    found, way = _look(machine, address)
    if way == "running":
        _warn_of_losses(address, found)
        yield Broker(NAME, f"already running ({found.version}) at {address.text}")
        return
    if way == "package":
        apt.install(machine, PACKAGE, 1)
    with server.running(server_in(machine, folder, address.port)) as started:
        yield Broker(
            NAME,
            f"the project's own server at {address.text}, every write on disk",
            started,
        )


def server_in(machine: Machine, folder: Path, port: int) -> Server:
    """Say how a server with its data in that folder is started; raises Failure where there is no Redis."""
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
        {
            "PATH": machine.environment.get("PATH", ""),
            "LANG": "C.UTF-8",
            "HOME": str(folder),
        },
        lambda: resp.probe("127.0.0.1", port).serves,
        lambda: _write_settings(folder, port),
    )


def _look(machine: Machine, address: Address) -> tuple[resp.Probe, Way]:
    found = resp.probe(address.host, address.port)
    if found.serves:
        return found, "running"
    _refuse_what_cannot_be_used(address, found)
    return found, _way_to_start(machine)


def _refuse_what_cannot_be_used(address: Address, found: resp.Probe) -> None:
    if found.found == "redis":
        raise Failure(
            f"Redis at {address.text} does not take commands",
            found.refuses,
            "If it is loading its data, wait. A password is not named in components/redis/pubsub.yaml.\n"
            "Let REDIS_HOST name another, or end this one: then the project starts its own.",
        )
    if found.found == "something else":
        raise Failure(
            f"Redis does not answer at {address.text}",
            "Something else listens there, or it does not talk to us.",
            "End that program, or let REDIS_HOST name another port: 127.0.0.1:6380",
        )
    if address.host not in HERE:
        raise Failure(
            f"Redis does not answer at {address.text}",
            "REDIS_HOST names another machine, and none is started here in its place.",
            "Start it there, correct REDIS_HOST, or unset it.",
        )


def _way_to_start(machine: Machine) -> Way:
    if find(machine, "redis-server") and not apt.unfinished(apt.policy_of(machine)):
        return "own"
    if apt.available(machine):
        return "package"
    raise Failure(
        "There is no Redis, and none can be started",
        "Nothing listens, and packages cannot be installed without a password.",
        "One of these helps:\n"
        "  start one yourself, and let REDIS_HOST say where it is (host:port)\n"
        f"  sudo apt-get install {PACKAGE}\n"
        "  make run, with the broker that dapr.yaml names",
    )


def _warn_of_losses(address: Address, found: resp.Probe) -> None:
    if missing := found.missing():
        say.warning(
            NAME,
            f"the one at {address.text} may lose what it has accepted: for all that is known, it lacks\n"
            f"{', '.join(missing)} (redis-cli config set …).\n"
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
        **resp.DURABLE,
    }
    lines = [f"{name} {value}\n" for name, value in settings.items()]
    (folder / "redis.conf").write_text("".join(lines))
