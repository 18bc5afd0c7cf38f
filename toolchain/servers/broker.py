"""What the toolchain knows of a broker that answers, whichever it is."""

from collections.abc import Callable
from dataclasses import dataclass

from toolchain.supervise.server import RunningServer


def _keeps_everything(_topic: str, _app_id: str) -> bool:
    return True


@dataclass(frozen=True)
class Broker:
    """A broker that answers: its name as people call it, and in one line how it came about.

    `server` is there where it is the project's own. `keeps` tells of a topic and an app whether what is
    published from now on is kept for that app.
    """

    name: str
    how: str
    server: RunningServer | None = None
    keeps: Callable[[str, str], bool] = _keeps_everything
