"""The public door on its real parts: nginx, three sidecars and both services, without a broker."""

import asyncio
import json
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.support.eventually import eventually
from tests.support.part import Part
from tests.support.sign_in import issuing, settings
from tests.support.system import RealSystem, build, sidecar_command
from toolchain import runfile
from toolchain.issuer.tokens import Issuer
from toolchain.machine import find, this_machine
from toolchain.servers import gateway

PATIENCE = 60.0
BELOW = {"order": "/", "notification": "/notifications/"}
"""Where the pages and the API of each service are."""
Source = tuple[str, int] | None
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Sidecar = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Door:
    """The running gateway, and all that stands behind it."""

    real: RealSystem
    port: int
    tls: ssl.SSLContext

    @property
    def url(self) -> str:
        """Its address."""
        return f"https://localhost:{self.port}"

    def client(self) -> httpx.AsyncClient:
        """Return a client of it."""
        return httpx.AsyncClient(
            verify=self.tls, trust_env=False, base_url=self.url, timeout=PATIENCE
        )

    async def sends(self, raw: bytes, *, source: Source = None) -> bytes:
        """Send these bytes on a connection of their own; return all that comes back until it is closed."""
        reader, writer = await self.connects(source)
        writer.write(raw)
        try:
            async with asyncio.timeout(PATIENCE):
                return await reader.read()
        except (ConnectionError, ssl.SSLError):
            return b""
        finally:
            writer.close()

    async def connects(
        self, source: Source = None, *, encrypted: bool = True
    ) -> Connection:
        """Open a connection, from another address of this machine where one is given."""
        return await asyncio.open_connection(
            "127.0.0.1",
            self.port,
            ssl=self.tls if encrypted else None,
            server_hostname="localhost" if encrypted else None,
            local_addr=source,
        )

    async def logs(self, request_id: str) -> str:
        """Wait until the access log has this request; return all that it has."""
        nginx = self.real.apps["gateway"]

        async def said() -> bool:
            return f'"request":"{request_id}"' in nginx.said()

        await eventually(said, "the request is in the access log")
        return nginx.said()

    def log(self) -> list[dict[str, str]]:
        """Return the lines of its access log."""
        said = self.real.apps["gateway"].said().splitlines()
        return [json.loads(each) for each in said if each.startswith('{"level"')]


def _made(folder: Path) -> Door:
    machine = this_machine()
    if not find(machine, "nginx"):
        pytest.fail("there is no nginx on this machine: make ready FOR=--for-tests")
    real = build(folder)
    system = runfile.with_gateway(real.system)
    gateway.write(machine, system)
    for name, part in real.apps.items():
        part.environment["PUBLIC_URL"] = system.app(name)["env"]["PUBLIC_URL"]
    app = system.app("gateway")
    environment = {**os.environ, "APP_ID": "gateway"}
    command, log = list(app["command"]), folder / "gateway.log"
    real.apps["gateway"] = Part(command, environment, log)
    command, log = sidecar_command(system, app), folder / "gateway-sidecar.log"
    real.sidecars["gateway"] = Part(command, environment, log)
    real.instances["gateway"] = app
    certificate = str(folder / "gateway" / "certificate.pem")
    tls = ssl.create_default_context(cafile=certificate)
    return Door(real, system.port("gateway"), tls)


def guard(door: Door, running: ExitStack) -> dict[str, Issuer]:
    """Have both services ask who calls from their next start on; return the issuer that each has."""
    issuers = {}
    for name, below in BELOW.items():
        pages, folder = f"{door.url}{below}", door.real.system.state / f"{name}-issuer"
        folder.mkdir(exist_ok=True)
        issuers[name] = running.enter_context(issuing(folder, name, pages))
        given = settings(issuers[name], name, pages)
        own = {key.upper(): each for key, each in given.items()}
        door.real.apps[name].environment.update(own)
    return issuers


@asynccontextmanager
async def opened(
    folder: Path, prepare: Callable[[Door], object] = lambda _door: None
) -> AsyncIterator[Door]:
    """Open a door to both services; it is closed at the end, and nothing of it is left.

    `prepare` may change its settings before anything is started.
    """
    door = _made(folder)
    prepare(door)
    real, nothing = door.real, folder / "gateway" / "resources"
    for part in real.sidecars.values():
        command = (each for each in part.command if "--resources-path=" not in each)
        part.command = [*command, f"--resources-path={nothing}"]
    try:
        real.start_sidecars()
        real.start_apps()
        await serve(door)
        yield door
    finally:
        await asyncio.to_thread(real.stop)


@asynccontextmanager
async def before(
    folder: Path, sidecar: Sidecar, changed: tuple[str, str] = ("", "")
) -> AsyncIterator[Door]:
    """Open a door to a function that stands for the gateway's sidecar: it reads and writes bytes.

    In nginx's settings one text may be changed to another.
    """
    door = _made(folder)
    settings = folder / "gateway" / "nginx.conf"
    settings.write_text(settings.read_text().replace(*changed))
    port = door.real.instances["gateway"]["daprHTTPPort"]
    nginx = door.real.apps["gateway"]
    async with await asyncio.start_server(sidecar, "127.0.0.1", port):
        try:
            nginx.start()
            await is_answered(door, "/healthz")
            yield door
        finally:
            await asyncio.to_thread(nginx.stop)


async def serve(door: Door) -> None:
    """Wait until both services answer through the door."""
    for below in BELOW.values():
        # A file that needs nobody's rights, of both.
        await is_answered(door, f"{below}static/0123456789abcdef/none.css", 404)


async def is_answered(door: Door, path: str, status: int = 200) -> None:
    """Wait until a GET through the door is answered so."""
    async with door.client() as client:

        async def answered() -> bool:
            with suppress(httpx.HTTPError):
                return (await client.get(path)).status_code == status
            return False

        await eventually(answered, f"{path} is answered {status}")
