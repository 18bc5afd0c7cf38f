"""The system under faults, on ports and in a folder of its own, with a proxy on each connection."""

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from signal import SIGCONT, SIGKILL, Signals

from tests.support.eventually import eventually
from tests.support.part import Part
from tests.support.system import RealSystem, build, secrets_of
from toolchain import mail
from toolchain.issuer import provision
from toolchain.machine import faketime, this_machine
from toolchain.machine import secured as secrets
from toolchain.runfile import VARIABLES
from toolchain.servers import companions, rabbitmq_node, secured
from toolchain.supervise import descendants, server
from toolchain.supervise.server import RunningServer, Server
from verification.chaos import disks
from verification.chaos.commits import FILE
from verification.chaos.plan import APPS, CLOCKS, COMMITS, Fault, Setting
from verification.chaos.proxy import Proxy, open_proxy
from verification.chaos.reading import Reader

ORDINARY = "verification.benchmark.peers.ordinary"
"""The package of the ordinary Dapr program: as a tutorial writes it, without an outbox, an inbox, and keys."""
ENDS_WITHIN = 60.0
"""Seconds; a sidecar has 35 of them to finish what it is at (toolchain/.dapr/bin/daprd)."""


@dataclass
class Stage:
    """A system that runs, and the handles by which faults reach it."""

    real: RealSystem
    setting: Setting
    servers: dict[str, RunningServer] = field(default_factory=dict)
    links: dict[str, Proxy] = field(default_factory=dict)
    readers: dict[str, Reader] = field(default_factory=dict)
    disks: dict[str, Path] = field(default_factory=dict)

    @property
    def mails(self) -> Path:
        """Where the mail server keeps its mails."""
        return self.real.system.state / "mail"

    @property
    def notification_apps(self) -> list[Part]:
        """Every process of the notification service."""
        apps = self.real.apps.items()
        return [app for name, app in apps if name.startswith("notification")]

    def tokens(self) -> dict[str, str]:
        """Return what proves who a customer is, and that they may ask the sidecar; nothing without security."""
        system = self.real.system
        if not system.secure:
            return {}
        token = secrets.tokens(system.secrets, "order")["DAPR_API_TOKEN"]
        return {"dapr-api-token": token, **provision.as_caller(system)}

    def part(self, name: str) -> Part | None:
        """Return a service or a sidecar; None for a server."""
        if name.endswith(" sidecar"):
            return self.real.sidecars[name.removesuffix(" sidecar")]
        return self.real.apps.get(name)

    def pids(self, name: str) -> set[int]:
        """Return the processes of a part; of a server also those that it has started for its clients."""
        part = self.part(name)
        return part.pids() if part else _family(self.servers[name].itself.pid)

    def signal(self, name: str, sign: Signals) -> None:
        """Send a part a signal, unless it is gone at this moment."""
        for pid in self.pids(name):
            with suppress(ProcessLookupError):
                os.kill(pid, sign)

    async def ends(self, name: str, sign: Signals) -> None:
        """Signal a service or a sidecar, and wait until it is gone; its supervisor starts it again."""
        pids = self.pids(name)
        self.signal(name, sign)

        async def is_gone() -> bool:
            return not pids & self.pids(name)

        await eventually(is_gone, f"{name} ends", ENDS_WITHIN)

    async def down(self, name: str) -> None:
        """Take a part down, with its supervisor."""
        part = self.part(name)
        if part:
            # Its supervisor has then logged all that it printed: no line is lost by the rig.
            await self.ends(name, SIGKILL)
            part.kill_for_good()
        else:
            await asyncio.to_thread(server.kill, self.servers[name])

    async def up(self, name: str) -> None:
        """Start a part that was taken down, with the data that it had."""
        part = self.part(name)
        if part:
            part.start()
            return
        started = await asyncio.to_thread(server.start, self.servers[name].server)
        # The database's own manager stops what this object names.
        self.servers[name].children = started.children

    def clock(self, app: str) -> Path:
        """Return the file that sets the clock of a service's process."""
        return self.real.system.state / f"{app.replace(' ', '-')}.clock"

    def set_clock(self, app: str, step: int) -> None:
        """Show a service's process a time so many seconds ahead of the true one."""
        half = self.clock(app).with_suffix(".new")
        half.write_text(f"{step:+d}s\n")
        half.replace(self.clock(app))

    def commit_fault(self, app: str) -> Path:
        """Return the file that puts the commits of a service's process in danger while it is there."""
        return self.real.system.state / f"{app.replace(' ', '-')}.commit"

    def keep_disks(self) -> None:
        """Copy what is on the small disks to where it stays when they are gone."""
        for folder in self.disks.values():
            shutil.copytree(folder, folder.with_name(f"{folder.name}-kept"))

    async def wipe_broker(self) -> None:
        """Restart the broker without its data."""
        await self.down("broker")
        folder = self.servers["broker"].server.folder
        await asyncio.to_thread(_empty, folder)
        await self.up("broker")


def _family(pid: int) -> set[int]:
    return {pid}.union(*(_family(child) for child in descendants.children(pid)))


def _empty(folder: Path) -> None:
    for each in folder.iterdir():
        if each.is_dir():
            shutil.rmtree(each)
        elif each.name != "lock":
            each.unlink()


@asynccontextmanager
async def running(
    folder: Path,
    setting: Setting,
    faults: Sequence[Fault] = (),
    orders: int = 0,
    prepare: Callable[[Stage], object] = lambda _stage: None,
) -> AsyncIterator[Stage]:
    """Run the whole system, ready for these faults and so many orders; nothing of it is left at the end.

    `prepare` may change its command lines before anything is started.
    """
    real = _built(folder, setting)
    stage = Stage(real, setting)
    async with AsyncExitStack() as stack:
        for service in _concerned(faults, "disk full"):
            _give_disk(stage, stack, service, orders)
        for service in APPS:
            stage.readers[service] = Reader(
                real.apps[service].environment["DATABASE_URL"]
            )
        _prepare_apps(stage, faults)
        if setting.ordinary:
            _become_ordinary(stage)
        await _connect(stage, stack)
        prepare(stage)
        cluster = stack.enter_context(companions.database(this_machine(), real.system))
        if cluster:
            stage.servers["database"] = cluster
        stack.enter_context(secrets_of(real))
        stack.push_async_callback(_stop, stage)
        await _start_servers(stage)
        real.start_sidecars()
        real.start_apps()
        await real.is_ready()
        yield stage


def _built(folder: Path, setting: Setting) -> RealSystem:
    return build(
        folder,
        broker=setting.broker,
        database=setting.database,
        mail=setting.mail,
        replicas=setting.replicas,
        secure=setting.secure,
    )


def _give_disk(stage: Stage, stack: AsyncExitStack, service: str, orders: int) -> None:
    folder = stage.real.system.state / f"{service}-disk"
    folder.mkdir()
    stage.disks[service] = folder
    stack.enter_context(disks.mounted(folder, disks.size_for(orders)))
    url = f"sqlite:///{folder / service}.db"
    stage.real.apps[service].environment["DATABASE_URL"] = url


def _concerned(faults: Sequence[Fault], *kinds: str) -> set[str]:
    return {each.part for each in faults if each.kind in kinds}


def _prepare_apps(stage: Stage, faults: Sequence[Fault]) -> None:
    for app in _concerned(faults, *CLOCKS):
        _give_clock(stage, app)
    for app in _concerned(faults, *COMMITS):
        _give_commits(stage, app)


def _give_clock(stage: Stage, app: str) -> None:
    library = faketime.library(this_machine())
    assert library
    stage.set_clock(app, 0)
    # For the service's own process: its supervisor, which comes first, goes by the true time.
    seen = faketime.environment(library, stage.clock(app))
    stage.real.apps[app].command[1:1] = ["env", *seen]


def _give_commits(stage: Stage, app: str) -> None:
    part = stage.real.apps[app]
    part.environment[FILE] = str(stage.commit_fault(app))
    service = r"services\.(\w+)\.app:create_app"
    part.command = [
        re.sub(service, r"verification.chaos.commits:\1", each) for each in part.command
    ]


def _become_ordinary(stage: Stage) -> None:
    real = stage.real
    for app in real.apps.values():
        app.command = [_ordinary(part) for part in app.command]
    if (
        real.own.page
    ):  # its queue is RabbitMQ's usual one, which is kept as soon as it is there
        keeps = partial(rabbitmq_node.is_bound, real.own.page)
        real.own = replace(real.own, keeps=keeps)


def _ordinary(part: str) -> str:
    return re.sub(r"services\.(\w+)\.app:", rf"{ORDINARY}.\1:", part)


async def _start_servers(stage: Stage) -> None:
    found = {"mail": _mail_server(stage), "broker": stage.real.own.server}
    if stage.setting.secure:
        system = stage.real.system
        sentry = secured.sentry_of(this_machine(), system)
        pages = provision.pages_of(system)
        found |= {"sentry": sentry, "issuer": provision.server_in(system, pages)}
    for name, each in found.items():
        stage.servers[name] = await asyncio.to_thread(server.start, each)


def _mail_server(stage: Stage) -> Server:
    system = stage.real.system
    return mail.server_in(stage.mails, system.port("smtp"), system.port("mail page"))


async def _stop(stage: Stage) -> None:
    # A part that is stopped by SIGSTOP cannot end itself.
    for name in stage.setting.parts:
        with suppress(KeyError):
            stage.signal(name, SIGCONT)
    await asyncio.to_thread(stage.real.stop)
    for name, each in stage.servers.items():
        if name != "database":
            await asyncio.to_thread(server.kill, each)


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
