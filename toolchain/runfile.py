"""Reads dapr.yaml, and can move what it describes to other ports and another folder: a second system."""

import copy
import random
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
LOCAL = ROOT / ".local"
PORTS = ("appPort", "daprHTTPPort", "daprGRPCPort")
AMQP, MANAGEMENT = 5672, 15672


@dataclass(frozen=True)
class System:
    """A system to run: the run file's document, and how far its ports are from the usual ones."""

    document: dict[str, Any]
    offset: int
    state: Path

    def app(self, app_id: str) -> dict[str, Any]:
        """Give what the run file says of one app."""
        return next(app for app in self.document["apps"] if app["appID"] == app_id)

    def invoke_url(self, app_id: str) -> str:
        """Where an app's methods are reached through the order service's sidecar."""
        return f"http://127.0.0.1:{self.app('order')['daprHTTPPort']}/v1.0/invoke/{app_id}/method"

    def amqp_url(self) -> str:
        """Where this system's own broker listens."""
        return f"amqp://guest:guest@127.0.0.1:{AMQP + self.offset}"


def load(offset: int = 0, state: Path | None = None) -> System:
    """Read dapr.yaml; with an offset every port is that much higher, and what is kept is under `state`."""
    document = yaml.safe_load((ROOT / "dapr.yaml").read_text())
    if offset == 0:
        return System(document, 0, LOCAL)
    state = state or LOCAL / str(offset)
    return System(_moved(document, offset, state), offset, state)


def _moved(original: dict[str, Any], offset: int, state: Path) -> dict[str, Any]:
    document = copy.deepcopy(original)
    document["common"]["configFilePath"] = str(
        _configuration(document["common"]["configFilePath"], state)
    )
    for app in document["apps"]:
        moved = _ports(app, offset)
        app["command"] = [
            part.replace(f"--port={app['appPort']}", f"--port={moved['appPort']}")
            for part in app["command"]
        ]
        app.update(
            moved,
            env={"DATABASE_URL": f"sqlite+aiosqlite:///{state / app['appID']}.db"},
        )
    return document


def _ports(app: dict[str, Any], offset: int) -> dict[str, int]:
    # 50001 lies where the kernel takes ports for outgoing connections: one may be taken at any moment.
    ports = {name: app[name] + offset for name in ("appPort", "daprHTTPPort")}
    return {**ports, "daprGRPCPort": ports["daprHTTPPort"] + 50}


def _configuration(path: str, state: Path) -> Path:
    configuration = yaml.safe_load((ROOT / path).read_text())
    configuration["spec"]["nameResolution"]["configuration"]["connectionString"] = str(
        state / "names.db"
    )
    state.mkdir(parents=True, exist_ok=True)
    copied = state / "dapr.yaml"
    copied.write_text(yaml.safe_dump(configuration))
    return copied


def free_offset() -> int:
    """Find an offset at which every port of a system is free; at random, as others may look too."""
    return next(
        offset
        for offset in random.sample(range(1100, 15000, 100), 139)
        if ports_are_free(offset)
    )


def ports_are_free(offset: int) -> bool:
    """Tell whether nothing listens where a system with this offset would."""
    ports = [AMQP + offset, MANAGEMENT + offset]
    for app in load().document["apps"]:
        ports += _ports(app, offset).values()
    return all(_is_free(port) for port in ports)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
