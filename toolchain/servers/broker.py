"""A broker: where it is to be found, and what is known of one that answers, whichever it is."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from toolchain.machine import Machine, network, ports, terminal
from toolchain.machine.failure import Failure
from toolchain.supervise.server import RunningServer

HERE = ("127.0.0.1", "localhost")


class Address(NamedTuple):
    """A host and a port."""

    host: str
    port: int

    @property
    def text(self) -> str:
        """Host and port as they are written."""
        return f"{self.host}:{self.port}"


def _keeps_everything(_topic: str, _app_id: str) -> bool:
    return True


@dataclass(frozen=True)
class Broker:
    """A broker that answers: its name as people call it, and in one line how it came about.

    `server` is there where it is the project's own. `keeps` returns whether what is published to a topic
    from now on is kept for an app.
    """

    name: str
    how: str
    server: RunningServer | None = None
    keeps: Callable[[str, str], bool] = _keeps_everything


@dataclass(frozen=True)
class Product:
    """A kind of broker: how one that answers is found, and how one of the project's own comes about.

    `install` raises Failure where none can be started here, and else returns its address; `run` starts one
    there, with its data in a folder.
    """

    name: str
    find: Callable[[Machine], Address | None]
    install: Callable[[Machine], Address]
    run: Callable[[Machine, Path, Address], AbstractContextManager[Broker]]

    def prepare(self, machine: Machine) -> None:
        """Install what `provide` needs to work in seconds, and print what it will use."""
        if running := self.find(machine):
            how = f"already runs at {running.text}"
        else:
            self.install(machine)
            # Where, OFFSET says.
            how = "installed; `make run` starts the project's own"
        terminal.done(self.name, how)

    @contextmanager
    def provide(self, machine: Machine, folder: Path) -> Iterator[Broker]:
        """Yield a broker at the configured address; what was started for it is stopped at the end."""
        if running := self.find(machine):
            yield Broker(self.name, f"already running at {running.text}")
            return
        with self.run(machine, folder, self.install(machine)) as own:
            yield own


def refuse_to_replace(name: str, variable: str, address: Address) -> None:
    """Raise Failure where the project cannot start a broker of its own at an address."""
    if network.ask(address, size=0) is not None:
        holder = f": {ports.holder(address.port)}" if address.host in HERE else ""
        raise Failure(
            f"{name} does not answer at {address.text}",
            f"Something else listens there, or a {name} that is starting, or wants a password or encryption"
            f"{holder}.",
            f"Wait, end that program, set {variable} to another port, or use other ports: {ports.others()}",
        )
    if address.host not in HERE:
        raise Failure(
            f"{name} does not answer at {address.text}",
            f"{variable} names another machine, and none is started here in its place.",
            f"Start it there, correct {variable}, or unset it.",
        )
