"""How systems and servers are started."""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.support.eventually import eventually
from tests.support.part import Part
from tests.support.system import RealSystem, build
from toolchain import runfile
from toolchain.machine import this_machine
from toolchain.observe.otlp import receiving
from toolchain.runfile import ROOT, free_port
from toolchain.servers import companions
from verification.benchmark.contestants import Contestant
from verification.benchmark.fill import fill

LOCAL = runfile.LOCAL / "benchmark"
SERVICES = ("order", "notification")
__all__ = ["LOCAL", "ROOT", "Running", "cache", "rabbitmq_alone", "running"]


@dataclass(frozen=True)
class Running:
    """A system that runs: where orders go, and where its notifications are found."""

    real: RealSystem
    servers: dict[str, set[int]]

    @property
    def urls(self) -> list[str]:
        """The address of each process that takes orders."""
        ports = [each["appPort"] for each in self._instances("order")]
        return [f"http://127.0.0.1:{port}/api/order" for port in ports]

    @property
    def database(self) -> str:
        """The URL of the notification service's database."""
        return str(self._instances("notification")[0]["env"]["DATABASE_URL"])

    @property
    def logs(self) -> list[Path]:
        """What each process of the notification service has printed."""
        return [each.log for each in self._consumers()]

    @property
    def pids(self) -> dict[str, set[int]]:
        """The processes by part, those of all replicas together."""
        pids = {name: set(each) for name, each in self.servers.items()}
        for kind, parts in (("app", self.real.apps), ("sidecar", self.real.sidecars)):
            for name, part in parts.items():
                if part.supervisor:
                    service = self.real.instances[name]["appID"]
                    part_of = pids.setdefault(f"{service} {kind}", set())
                    part_of.add(part.supervisor.pid)
        return pids

    def stop_consumers(self) -> None:
        """Stop the notification service; its sidecar runs on."""
        for part in self._consumers():
            part.stop()

    def start_consumers(self) -> None:
        """Start the notification service again."""
        for part in self._consumers():
            part.start()

    def _instances(self, service: str) -> list[dict[str, Any]]:
        instances = self.real.instances.values()
        return [each for each in instances if each["appID"] == service]

    def _consumers(self) -> list[Part]:
        apps = self.real.apps.items()
        return [each for name, each in apps if name.startswith("notification")]


def cache() -> Path:
    """Return the user's cache, where the toolchain is too."""
    return this_machine().cache


@asynccontextmanager
async def running(
    folder: Path, contestant: Contestant, broker: str
) -> AsyncIterator[Running]:
    """Run ours, or a peer in its place on the same servers and by the same command lines."""
    database, replicas = contestant.database, contestant.replicas
    real = build(folder, broker=broker, database=database, replicas=replicas)
    if contestant.peer:
        _replace_apps(real, contestant.peer)
    with (
        companions.database(this_machine(), real.system) as cluster,
        ExitStack() as stack,
    ):
        if contestant.traced:
            endpoint = stack.enter_context(receiving(free_port(), lambda _: None))
            _trace(real, endpoint, contestant.traced)
        servers = {"database": cluster.pids()} if cluster else {}
        if contestant.stored:
            urls = {
                name: real.instances[name]["env"]["DATABASE_URL"] for name in SERVICES
            }
            await asyncio.to_thread(fill, urls, contestant.stored)
        try:
            await asyncio.to_thread(real.start_broker)
            assert real.broker
            servers["broker"] = real.broker.pids()
            if contestant.sidecars:
                real.start_sidecars()
            real.start_apps()
            await _are_ready(real)
            yield Running(real, servers)
        finally:
            await asyncio.to_thread(real.stop)


def _trace(real: RealSystem, endpoint: str, share: float) -> None:
    for part in (*real.apps.values(), *real.sidecars.values()):
        part.environment.update(
            OTEL_EXPORTER_OTLP_ENDPOINT=endpoint,
            OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
            OTEL_EXPORTER_OTLP_INSECURE="true",
            OTEL_TRACES_SAMPLER_ARG=str(share),
        )


def _replace_apps(real: RealSystem, peer: str) -> None:
    here = rf"verification.benchmark.peers.{peer}.\1:"
    for name, app in real.apps.items():
        app.command = [
            re.sub(r"services\.(\w+)\.app:", here, part) for part in app.command
        ]
        url = real.instances[name]["env"]["DATABASE_URL"]
        added = [str(each) for each in _packages()]
        app.environment.update(DATABASE_URL=url, PYTHONPATH=os.pathsep.join(added))


def _packages() -> Iterator[Path]:
    yield from (cache() / "benchmark" / "packages").glob("lib/python*/site-packages")


async def _are_ready(real: RealSystem) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        for app in real.instances.values():
            url = f"http://127.0.0.1:{app['appPort']}/readyz"

            async def ready(url: str = url) -> bool:
                try:
                    return (await client.get(url)).status_code == 200
                except httpx.HTTPError:
                    return False

            await eventually(ready, f"{url} is ready")


@contextmanager
def rabbitmq_alone(folder: Path) -> Iterator[str]:
    """Run RabbitMQ with nothing around it, and yield its address."""
    real = build(folder, broker="rabbitmq")
    try:
        real.start_broker()
        yield real.system.addresses()["RABBITMQ_URL"]
    finally:
        real.stop()
