"""The real kind of stage: daprd, RabbitMQ and a mail server, on free ports."""

import asyncio
import base64
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from fastapi import FastAPI

from chassis.dapr.sidecar import Sidecar, SidecarUnavailable
from tests.conformance.probe import BULK, DEAD, TOPIC, WATCHED, Probe, served
from tests.conformance.stage import DEADLINE, NOTIFICATION, ORDER, Overheard, Stage
from tests.support.eventually import eventually, is_held_still
from tests.support.mail_server import HOST, Mailbox, serving
from tests.support.part import Part
from tests.support.system import sidecar_command, without_topic_scopes
from toolchain import runfile
from toolchain.runfile import System
from toolchain.servers import rabbitmq, rabbitmq_node
from toolchain.supervise import server

SMTP = 1025
TOPICS = (TOPIC, WATCHED, BULK, DEAD)
LOGIN = ("guest", "guest")


@dataclass
class Server:
    """What serves from a thread of this process, and can be stopped for a while."""

    serve: Callable[[], AbstractContextManager[None]]
    _running: ExitStack = field(default_factory=ExitStack)

    def start(self) -> None:
        """Start it."""
        self._running.enter_context(self.serve())

    async def stop(self) -> None:
        """Stop it, if it runs."""
        await asyncio.to_thread(self._running.close)

    @asynccontextmanager
    async def stopped(self) -> AsyncIterator[None]:
        """Stop it, and start it again at the end."""
        await self.stop()
        try:
            yield
        finally:
            self.start()


@dataclass(kw_only=True)
class RealStage(Stage):
    """Two real daprds, which deliver by themselves, and RabbitMQ, with the project's own components."""

    node: rabbitmq_node.Node
    daprd: Part
    other_daprd: Part
    app: Server
    mail_server: Server
    broker: server.RunningServer | None = None

    async def put(self, topic: str, body: bytes) -> None:
        """Publish through the node's own page."""
        message = {
            "properties": {"delivery_mode": 2},
            "routing_key": "",
            "payload": base64.b64encode(body).decode(),
            "payload_encoding": "base64",
        }
        url = f"{self.node.page}/api/exchanges/%2F/{topic}/publish"
        async with httpx.AsyncClient(auth=LOGIN, trust_env=False) as client:
            answer = await client.post(url, json=message)
        assert answer.json() == {"routed": True}

    async def turn(self) -> None:
        """Leave it to daprd."""

    async def start_broker(self) -> None:
        """Start the node, with its data of an earlier start."""
        self.broker = await asyncio.to_thread(server.start, self.node.server())

    async def stop_broker(self) -> None:
        """Stop the node in good order, if it runs."""
        if self.broker:
            await asyncio.to_thread(server.stop, self.broker)

    @asynccontextmanager
    async def broker_killed(self) -> AsyncIterator[None]:
        """Kill the node as a power cut would."""
        assert self.broker
        await asyncio.to_thread(server.kill, self.broker)
        self.broker = None
        try:
            yield
        finally:
            await self.start_broker()

    @asynccontextmanager
    async def sidecar_stopped(self) -> AsyncIterator[None]:
        """Stop both daprds in good order."""
        await self.stop_sidecars()
        try:
            yield
        finally:
            self.start_sidecars()
            await self.reach_each_other()

    def start_sidecars(self) -> None:
        """Start both daprds."""
        for each in (self.daprd, self.other_daprd):
            each.start()

    async def stop_sidecars(self) -> None:
        """Stop both daprds in good order."""
        both = (self.daprd, self.other_daprd)
        await asyncio.gather(*(asyncio.to_thread(each.stop) for each in both))

    async def reach_each_other(self) -> None:
        """Wait until the other app reaches the probe."""

        async def reaches() -> bool:
            with suppress(SidecarUnavailable):
                answer = await self.other.ask(ORDER, "healthz", query={}, headers={})
                return answer.status == 200
            return False

        await eventually(
            reaches, f"one app reaches the other; see {self.other_daprd.log}"
        )

    @asynccontextmanager
    async def app_stopped(self) -> AsyncIterator[None]:
        """Stop the probe's server."""
        async with self.app.stopped():
            yield

    @asynccontextmanager
    async def mail_server_stopped(self) -> AsyncIterator[None]:
        """Stop the mail server."""
        async with self.mail_server.stopped():
            yield

    @asynccontextmanager
    async def sidecar_stalled(self) -> AsyncIterator[None]:
        """Stop both daprds in the middle of what they do."""
        pids = [*self.daprd.pids(), *self.other_daprd.pids()]
        assert len(pids) == 2

        async def held() -> bool:
            return all(is_held_still(each) for each in pids)

        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            # On a busy machine the signal arrives later than the next call would.
            await eventually(held, "both daprds are held still")
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    async def is_ready(self) -> None:
        """Wait until what is published reaches the probe, and will after a restart of the broker too."""

        async def keeps() -> bool:
            return await asyncio.to_thread(
                lambda: all(rabbitmq.keeps(self.node, each, ORDER) for each in TOPICS)
            )

        await eventually(keeps, f"the topics are kept; see {self.daprd.log}")
        await self.has_nothing_left()
        await self.reach_each_other()


@asynccontextmanager
async def real(folder: Path) -> AsyncIterator[RealStage]:
    """Run daprd and RabbitMQ on free ports, with all that they keep in this folder, and serve the probe."""
    system = runfile.load(runfile.free_offset(), folder)
    without_topic_scopes(system, folder / "components")
    wire = Overheard()
    order_url, other_url = _url(system, ORDER), _url(system, NOTIFICATION)
    async with (
        Sidecar(
            order_url,
            deadline=DEADLINE,
            send_deadline=DEADLINE,
            wire=wire.over_http(order_url),
        ) as sidecar,
        Sidecar(
            other_url,
            deadline=DEADLINE,
            send_deadline=DEADLINE,
            wire=wire.over_http(other_url),
        ) as other,
    ):
        stage = _stage(system, folder, wire, sidecar, other)
        bystander = Server(lambda: served(_healthy(), _port(system, NOTIFICATION)))
        servers = (stage.app, stage.mail_server, bystander)
        try:
            for each in servers:
                each.start()
            await stage.start_broker()
            stage.start_sidecars()
            await stage.is_ready()
            yield stage
        finally:
            await stage.stop_sidecars()
            await stage.stop_broker()
            for each in servers:
                await each.stop()


def _stage(
    system: System, folder: Path, wire: Overheard, sidecar: Sidecar, other: Sidecar
) -> RealStage:
    probe, mailbox = Probe(), Mailbox()
    node = rabbitmq_node.node_in(folder / "rabbitmq", system.port("rabbitmq"))
    return RealStage(
        wire=wire,
        sidecar=sidecar,
        other=other,
        mailbox=mailbox,
        probe=probe,
        node=node,
        daprd=_daprd(system, folder, ORDER),
        other_daprd=_daprd(system, folder, NOTIFICATION),
        app=Server(lambda: served(probe.app, _port(system, ORDER))),
        mail_server=Server(lambda: serving(mailbox, SMTP + system.offset)),
    )


def _daprd(system: System, folder: Path, app_id: str) -> Part:
    environment = {
        **os.environ,  # noqa: TID251 - handed on, not read
        **system.addresses(),
        "SMTP_HOST": HOST,
        "SMTP_PORT": str(SMTP + system.offset),
    }
    command = sidecar_command(system, system.app(app_id))
    return Part(command, environment, folder / f"{app_id}-daprd.log")


def _url(system: System, app_id: str) -> str:
    return f"http://127.0.0.1:{system.app(app_id)['daprHTTPPort']}"


def _port(system: System, app_id: str) -> int:
    port: int = system.app(app_id)["appPort"]
    return port


def _healthy() -> FastAPI:
    app = FastAPI()
    app.add_api_route("/healthz", lambda: {"status": "alive"})
    return app
