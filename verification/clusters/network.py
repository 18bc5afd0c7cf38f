"""A network of hosts on this machine: a network namespace each, as a container has, on one switch."""

import os
import random
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from toolchain.machine.failure import Failure

BASES = range(200, 250)
"""Where the networks may lie: 10.200.0.0/24 and above."""


@dataclass(frozen=True)
class Network:
    """Hosts with an address each; `name` begins the names of all that the kernel keeps for it."""

    name: str
    base: str
    hosts: tuple[str, ...]

    def address(self, host: str) -> str:
        """Return a host's address; this machine reaches it, and the other hosts do."""
        return f"{self.base}.{self.hosts.index(host) + 2}"

    def inside(self, host: str, command: Sequence[str]) -> tuple[str, ...]:
        """Return the command line that runs a command on a host; its process becomes that command."""
        return ("ip", "netns", "exec", self._namespace(host), *command)

    def cut(self, host: str) -> None:
        """Pull out a host's cable: nobody reaches it, and no connection is closed."""
        self._on_switch("link", "set", "dev", host, "down")

    def join(self, host: str) -> None:
        """Plug it in again."""
        self._on_switch("link", "set", "dev", host, "up")

    @property
    def _switch(self) -> str:
        # In a namespace, too: the packet filter of this machine has no say there.
        return f"{self.name}-switch"

    def _namespace(self, host: str) -> str:
        return f"{self.name}-{host}"

    def _on_switch(self, *arguments: str) -> None:
        _ip("-n", self._switch, *arguments)

    def _begin(self) -> None:
        _ip("netns", "add", self._switch)
        self._on_switch("link", "add", "bridge", "type", "bridge")
        self._on_switch("link", "set", "bridge", "up")
        _ip("link", "add", self.name, "type", "veth", "peer", "name", "here", "netns", self._switch)  # fmt: skip
        self._plug("here")
        _ip("address", "add", f"{self.base}.1/24", "dev", self.name)
        _ip("link", "set", self.name, "up")
        for host in self.hosts:
            self._add(host)

    def _add(self, host: str) -> None:
        space = self._namespace(host)
        _ip("netns", "add", space)
        peer = ("peer", "name", "eth0", "netns", space)
        self._on_switch("link", "add", "name", host, "type", "veth", *peer)
        self._plug(host)
        _ip("-n", space, "address", "add", f"{self.address(host)}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            _ip("-n", space, "link", "set", device, "up")

    def _plug(self, cable: str) -> None:
        self._on_switch("link", "set", "dev", cable, "master", "bridge", "up")

    def _end(self) -> None:
        # A cable goes with the namespace of either end. What was never made is no error.
        for space in (self._switch, *map(self._namespace, self.hosts)):
            _ip("netns", "delete", space, check=False)


def check() -> None:
    """Raise Failure where this machine, or this user, can make no network."""
    if os.geteuid() != 0 or not shutil.which("ip"):
        raise Failure(
            "No cluster can be made here",
            "Each node has a network of its own: that takes root, and `ip` of the package iproute2.",
            "Run it as root on Linux.",
        )


@contextmanager
def opened(hosts: Sequence[str]) -> Iterator[Network]:
    """Make a network of these hosts; nothing of it is left at the end."""
    check()
    name, base = f"oc{random.randrange(2**16):04x}", _free_base()
    network = Network(name, base, tuple(hosts))
    try:
        network._begin()
        yield network
    finally:
        network._end()


def _free_base() -> str:
    taken = _ip("-brief", "address")
    bases = [f"10.{each}.{random.randrange(256)}" for each in BASES]
    random.shuffle(bases)
    return next(base for base in bases if f" {base}." not in taken)


def _ip(*arguments: str, check: bool = True) -> str:
    ended = subprocess.run(
        ["ip", *arguments], capture_output=True, text=True, check=False
    )
    if check and ended.returncode:
        raise Failure(
            "The network of the cluster could not be made",
            f"ip {' '.join(arguments)}: {ended.stderr.strip()}",
            "Run it as root on Linux.",
        )
    return ended.stdout
