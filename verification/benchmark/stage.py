"""How systems and servers are started: no other file here knows the toolchain or the tests' support."""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.support.eventually import eventually
from tests.support.system import RealSystem, build
from toolchain import runfile
from toolchain.machine import this_machine
from toolchain.runfile import ROOT
from toolchain.servers import companions, postgresql
from verification.benchmark.contestants import Contestant

LOCAL = runfile.LOCAL / "benchmark"
__all__ = ["LOCAL", "ROOT", "Running", "cache", "postgresql_server", "running"]


@dataclass(frozen=True)
class Running:
    """A system that runs: where orders go, its processes by part, and where its notifications are found."""

    url: str
    pids: dict[str, set[int]]
    database: str
    log: Path


def cache() -> Path:
    """Return the user's cache, where the toolchain is too."""
    return this_machine().cache


@asynccontextmanager
async def running(
    folder: Path, contestant: Contestant, broker: str
) -> AsyncIterator[Running]:
    """Run ours, or a peer in its place on the same servers and by the same command lines."""
    real = build(folder, broker=broker, database=contestant.database)
    if contestant.peer:
        _replace_apps(real, contestant.peer)
    with companions.database(this_machine(), real.system) as cluster:
        servers = {"database": cluster.pids()} if cluster else {}
        try:
            await asyncio.to_thread(real.start_broker)
            if contestant.sidecars:
                real.start_sidecars()
            real.start_apps()
            await _are_ready(real)
            yield _running(real, servers)
        finally:
            await asyncio.to_thread(real.stop)


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


def _running(real: RealSystem, servers: dict[str, set[int]]) -> Running:
    assert real.broker
    pids = {"broker": real.broker.pids(), **servers}
    for kind, parts in (("app", real.apps), ("sidecar", real.sidecars)):
        for name, part in parts.items():
            if part.supervisor:
                pids[f"{name} {kind}"] = {part.supervisor.pid}
    order, notification = (real.instances[each] for each in ("order", "notification"))
    url = f"http://127.0.0.1:{order['appPort']}/api/order"
    database = notification["env"]["DATABASE_URL"]
    return Running(url, pids, database, real.apps["notification"].log)


@contextmanager
def postgresql_server(folder: Path) -> Iterator[str]:
    """Run PostgreSQL with a database of its own, and yield its address without a driver."""
    port = runfile.free_port()
    with postgresql.provide(this_machine(), folder / "postgresql", port, ["bench"]):
        yield runfile.postgresql_url("bench", port, "bench")
