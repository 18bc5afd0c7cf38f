"""Several containers of each part that `make up` runs: replicas, nodes of the broker, two of PostgreSQL."""

import json
import random
import subprocess
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import yaml

from toolchain.machine.failure import Failure
from toolchain.up.stack import FILE, Stack

Service = dict[str, Any]
"""An entry of compose.yaml."""
HERE = Path(__file__).parent
LEFT_OUT = {"depends_on", "profiles"}


def shipped() -> dict[str, Service]:
    """Return the parts as `make up` runs them."""
    services = yaml.safe_load(FILE.read_text())["services"]
    return {name: _alone(part) for name, part in services.items()}


def _alone(part: Service) -> Service:
    """Return a part without the order of its start, and without whoever looks after it or traces it."""
    kept = {key: each for key, each in part.items() if key not in LEFT_OUT}
    variables = part.get("environment", {}).items()
    environment = {key: each for key, each in variables if not key.startswith("OTEL_")}
    # A look into each container every few seconds is half a processor's work, and nobody here acts on it.
    return {**kept, "environment": environment, "healthcheck": {"disable": True}}


def _base() -> str:
    """Return the beginning of addresses that most likely nothing else here has; else the engine refuses it."""
    return f"10.{random.randrange(200, 250)}.{random.randrange(256)}"


@dataclass
class Nodes:
    """Containers on a network of their own, each known by its name and always at the same address."""

    stack: Stack
    services: dict[str, Service] = field(default_factory=dict)
    base: str = field(default_factory=_base)
    is_ended: bool = False
    _lock: Lock = field(default_factory=Lock)

    def add(self, name: str, part: Service, *aliases: str) -> None:
        """Describe a container that has an address of its own; it is started by `up`."""
        address = f"{self.base}.{len(self.services) + 2}"
        network = {"ipv4_address": address, "aliases": aliases}
        self.services[name] = {
            **part,
            "container_name": self.container(name),
            "hostname": name,
            "networks": {"default": network},
        }

    def add_beside(self, name: str, part: Service, pod: str) -> None:
        """Describe a container that shares the address of another one."""
        beside = {"network_mode": f"service:{pod}", "depends_on": [pod]}
        called = {"container_name": self.container(name)}
        self.services[name] = {**part, **called, **beside}

    def up(self, *names: str) -> None:
        """Start these, all where none is named."""
        document = {
            "services": self.services,
            "volumes": dict.fromkeys(("names", "secrets")),
            "networks": {
                "default": {
                    "name": self.stack.name,
                    "ipam": {"config": [{"subnet": f"{self.base}.0/24"}]},
                }
            },
        }
        with self._lock:
            if self.is_ended:
                raise InterruptedError("all is broken off")
            self.stack.file.write_text(json.dumps(document))
            self.stack.compose("up", "--detach", "--no-build", *names)

    def end(self) -> None:
        """Remove all that `up` has made."""
        # What is still starting, while all is broken off, would be left.
        with self._lock:
            self.is_ended = True
            if self.stack.file.exists():
                self.stack.compose("down", "--volumes", "--timeout", "0")

    def container(self, name: str) -> str:
        """Return the name by which the engine knows a container."""
        return f"{self.stack.name}-{name}"

    def address(self, name: str) -> str:
        """Return where a container is reached, from this machine and from the others."""
        part = self.services[self._pod(name)]
        return str(part["networks"]["default"]["ipv4_address"])

    def run(self, name: str, *command: str) -> str:
        """Run a command in a container and return what it prints."""
        return self.stack.engine.docker("exec", self.container(name), *command)

    def kill(self, name: str) -> None:
        """Kill a container; it stays away until it is started."""
        with suppress(Failure):  # it ended by itself, and is about to be started again
            self._docker("kill", name)

    def stop(self, name: str) -> None:
        """Stop a container in good order."""
        self._docker("stop", name)

    def start(self, name: str) -> None:
        """Start a container that was killed or stopped, with the data that it had."""
        self._docker("start", name)

    def pause(self, name: str) -> None:
        """Hold all processes of a container still."""
        self._docker("pause", name)

    def unpause(self, name: str) -> None:
        """Continue them."""
        self._docker("unpause", name)

    def remove(self, name: str) -> None:
        """Kill a container and throw its data away; `up` makes it anew."""
        self._docker("rm", name, "--force", "--volumes")

    def cut(self, name: str) -> None:
        """Take the network from a container: nobody reaches it, and no connection is closed."""
        pod = self.container(self._pod(name))
        self.stack.engine.docker("network", "disconnect", self.stack.name, pod)

    def join(self, name: str) -> None:
        """Connect it again, with the address and the names that it had."""
        pod = self._pod(name)
        aliases = self.services[pod]["networks"]["default"]["aliases"]
        named = [f"--alias={each}" for each in (pod, *aliases)]
        place = f"--ip={self.address(pod)}", self.stack.name, self.container(pod)
        self.stack.engine.docker("network", "connect", *named, *place)

    def log(self, name: str, folder: Path) -> Path:
        """Write all that a container has printed so far into a file of this folder."""
        file, engine = folder / f"{name}.log", self.stack.engine
        with file.open("wb") as log:
            subprocess.run(
                [engine.client, "logs", self.container(name)],
                env=dict(engine.environment),
                stdout=log,
                stderr=subprocess.STDOUT,
                check=True,
            )
        return file

    def _docker(self, verb: str, name: str, *options: str) -> None:
        self.stack.engine.docker(verb, *options, self.container(name))

    def _pod(self, name: str) -> str:
        mode = str(self.services[name].get("network_mode", name))
        return mode.removeprefix("service:")
