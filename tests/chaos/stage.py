"""The system under faults, on ports and in a folder of its own, with a proxy on each connection."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.plan import Setting
from tests.chaos.proxy import Proxy, open_proxy
from tests.support.part import Part
from tests.support.system import RealSystem, build
from toolchain import beside, mail, server
from toolchain.machine import this_machine
from toolchain.runfile import VARIABLES
from toolchain.server import RunningServer


@dataclass
class Stage:
    """A system that runs, and the handles by which faults get at it."""

    real: RealSystem
    setting: Setting
    servers: dict[str, RunningServer] = field(default_factory=dict)
    links: dict[str, Proxy] = field(default_factory=dict)
    urls: dict[str, str] = field(default_factory=dict)

    @property
    def mails(self) -> Path:
        """Where the mail server keeps its mails."""
        return self.real.system.state / "mail"

    def part(self, name: str) -> Part | None:
        """Give a service or a sidecar; None for a server."""
        if name.endswith(" sidecar"):
            return self.real.sidecars[name.removesuffix(" sidecar")]
        return self.real.apps.get(name)

    def pids(self, name: str) -> set[int]:
        """Give the processes of a part."""
        part = self.part(name)
        return part.pids() if part else {self.servers[name].itself.pid}

    def signal(self, name: str, sign: signal.Signals) -> None:
        """Send a part a signal; one that is gone at this moment hears nothing."""
        for pid in self.pids(name):
            with suppress(ProcessLookupError):
                os.kill(pid, sign)

    async def down(self, name: str) -> None:
        """Take a part away, with whoever would start it again."""
        part = self.part(name)
        if part:
            part.kill_for_good()
        else:
            await asyncio.to_thread(server.kill, self.servers[name])

    async def up(self, name: str) -> None:
        """Start a part that was taken away, with the data that it had."""
        part = self.part(name)
        if part:
            part.start()
            return
        started = await asyncio.to_thread(server.start, self.servers[name].server)
        # The database's own manager stops what this object names.
        self.servers[name].children = started.children

    async def wipe_broker(self) -> None:
        """Let the broker lose all that it has: it is started again with nothing."""
        await self.down("broker")
        folder = self.servers["broker"].server.folder
        await asyncio.to_thread(_empty, folder)
        await self.up("broker")


def _empty(folder: Path) -> None:
    for each in folder.iterdir():
        if each.is_dir():
            shutil.rmtree(each)
        elif each.name != "lock":
            each.unlink()


@asynccontextmanager
async def running(folder: Path, setting: Setting) -> AsyncIterator[Stage]:
    """Run the whole system, ready to be used; nothing of it is left at the end."""
    broker, database, mails = setting.broker, setting.database, setting.mail
    real = build(folder, broker=broker, database=database, mail=mails)
    stage = Stage(real, setting)
    for name, app in real.apps.items():
        stage.urls[name] = app.environment["DATABASE_URL"]
    async with AsyncExitStack() as stack:
        await _connect(stage, stack)
        cluster = stack.enter_context(beside.database(this_machine(), real.system))
        if cluster:
            stage.servers["database"] = cluster
        stack.push_async_callback(_stop, stage)
        await _start_servers(stage)
        real.start_sidecars()
        real.start_apps()
        await real.is_ready()
        yield stage


async def _start_servers(stage: Stage) -> None:
    system = stage.real.system
    mails = mail.server_in(stage.mails, system.port("smtp"), system.port("mail page"))
    for name, each in (("mail", mails), ("broker", stage.real.own.server)):
        stage.servers[name] = await asyncio.to_thread(server.start, each)


async def _stop(stage: Stage) -> None:
    # A part that stands still hears no request to stop.
    for name in stage.setting.parts:
        with suppress(KeyError):
            stage.signal(name, signal.SIGCONT)
    await asyncio.to_thread(stage.real.stop)
    for name in ("mail", "broker"):
        if name in stage.servers:
            await asyncio.to_thread(server.kill, stage.servers[name])


async def _connect(stage: Stage, stack: AsyncExitStack) -> None:
    system, setting = stage.real.system, stage.setting
    by_api = setting.mail == "api"
    mails = "mail page" if by_api else "smtp"
    ports = {"mail": mails, "broker": setting.broker, "database": "postgresql"}
    for link in setting.links:
        port = system.port(ports[link])
        proxy = await stack.enter_async_context(open_proxy(port))
        stage.links[f"{link} link"] = proxy
        variable = {
            "mail": "MAIL_API_URL" if by_api else "SMTP_PORT",
            "broker": VARIABLES[setting.broker],
            "database": "DATABASE_URL",
        }[link]
        _redirect(stage, variable, _replacing(port, proxy.port))


def _replacing(old: int, new: int) -> Callable[[str], str]:
    return lambda value: value.replace(str(old), str(new))


def _redirect(stage: Stage, variable: str, change: Callable[[str], str]) -> None:
    for part in (*stage.real.sidecars.values(), *stage.real.apps.values()):
        if variable in part.environment:
            part.environment[variable] = change(part.environment[variable])
