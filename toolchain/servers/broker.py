"""A broker: where it is to be found, and what is known of one that answers, whichever it is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

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


def refuse_to_replace(
    name: str, variable: str, address: Address, *, is_taken: bool
) -> None:
    """Raise Failure where the project cannot start a broker of its own at an address."""
    if is_taken:
        raise Failure(
            f"{name} does not answer at {address.text}",
            f"Something else listens there, or a {name} that is starting, or wants a password or encryption.",
            f"Wait, end that program, or set {variable} to another port.",
        )
    if address.host not in HERE:
        raise Failure(
            f"{name} does not answer at {address.text}",
            f"{variable} names another machine, and none is started here in its place.",
            f"Start it there, correct {variable}, or unset it.",
        )
