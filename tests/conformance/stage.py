"""What a test of this suite plays on, of either kind: a sidecar, its broker, and the probe in front of it."""

import asyncio
import json
import os
import signal
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from chassis.sidecar import Entry, Sidecar
from tests.conformance.probe import PUBSUB, TOPIC, Probe, an_event, saying, served
from tests.support.eventually import eventually
from tests.support.simulated_dapr import SimulatedDapr, Wire
from tests.support.system import Part, sidecar_command
from toolchain import rabbitmq, rabbitmq_node, runfile, server

DEADLINE = 4.0
"""Seconds that a call to a sidecar may take in this suite; daprd refuses after two, without its broker."""


class Overheard(httpx.AsyncBaseTransport):
    """A transport that remembers what was answered: the status, and all of the body."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport
        self.answers: list[tuple[int, str]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Carry a request, and remember its answer."""
        answer = await self._transport.handle_async_request(request)
        await answer.aread()
        self.answers.append((answer.status_code, answer.text))
        return answer

    async def aclose(self) -> None:
        """Close what is below."""
        await self._transport.aclose()


@dataclass(kw_only=True)
class Stage(ABC):
    """One kind of sidecar, to which both kinds do the same."""

    wire: Overheard
    sidecar: Sidecar
    probe: Probe = field(default_factory=Probe)

    async def publish(
        self, *events: dict[str, Any], pubsub: str = PUBSUB, topic: str = TOPIC
    ) -> dict[str, str]:
        """Publish events in one batch; give the reasons of those that were refused."""
        entries = [
            Entry(each["id"], json.dumps(each, ensure_ascii=False)) for each in events
        ]
        return await self.sidecar.publish(pubsub, topic, entries)

    async def delivers(
        self, *events: dict[str, Any], times: int = 1
    ) -> list[dict[str, Any]]:
        """Wait until each of the events has been delivered so often; give them as they last arrived."""
        ids = [each["id"] for each in events]

        async def delivered() -> bool:
            await self.turn()
            return all(self.count(each) >= times for each in events)

        await eventually(delivered, f"{len(ids)} events are delivered {times} times")
        return [self.probe.deliveries[each][-1].event for each in ids]

    async def has_nothing_left(self, pauses: int = 3) -> None:
        """Wait so long that whatever was still to be delivered has been.

        Not by the clock: a last event is delivered again so often. The pauses before it are 0.25-0.75 s at
        first, then half as much again: three of them are longer than the first one of any event before it.
        """
        last = an_event()
        self.probe.answers[last["id"]].extend(saying("RETRY") for _ in range(pauses))
        await self.publish(last)
        await self.delivers(last, times=pauses + 1)

    def count(self, event: dict[str, Any]) -> int:
        """Tell how often an event has been delivered so far."""
        return len(self.probe.deliveries[event["id"]])

    @abstractmethod
    async def turn(self) -> None:
        """Let what is due be delivered."""

    @abstractmethod
    def broker_away(self) -> AbstractAsyncContextManager[None]:
        """Kill the broker, and start it again at the end with what it had kept."""

    @abstractmethod
    def sidecar_away(self) -> AbstractAsyncContextManager[None]:
        """Stop the sidecar, and start it again at the end."""

    @abstractmethod
    def sidecar_stalled(self) -> AbstractAsyncContextManager[None]:
        """Let the sidecar take calls but answer none, and go on at the end."""


@dataclass(kw_only=True)
class SimulatedStage(Stage):
    """The simulated sidecar, which delivers when it is told to."""

    dapr: SimulatedDapr

    async def turn(self) -> None:
        """Deliver once what is in the queue."""
        await self.dapr.deliver_to(self.probe.app)

    @asynccontextmanager
    async def broker_away(self) -> AsyncIterator[None]:
        """Let the broker take nothing."""
        self.dapr.available = False
        yield
        self.dapr.available = True

    @asynccontextmanager
    async def sidecar_away(self) -> AsyncIterator[None]:
        """Let it refuse connections."""
        self.dapr.running = False
        yield
        self.dapr.running = True

    @asynccontextmanager
    async def sidecar_stalled(self) -> AsyncIterator[None]:
        """Let it not answer."""
        self.dapr.answering.clear()
        yield
        self.dapr.answering.set()


@dataclass(kw_only=True)
class RealStage(Stage):
    """A real daprd, which delivers by itself, and a RabbitMQ node, with the project's own components."""

    node: rabbitmq_node.Node
    daprd: Part
    broker: server.RunningServer | None = None

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
    async def broker_away(self) -> AsyncIterator[None]:
        """Kill the node as a power cut would."""
        assert self.broker
        await asyncio.to_thread(server.kill, self.broker)
        self.broker = None
        try:
            yield
        finally:
            await self.start_broker()

    @asynccontextmanager
    async def sidecar_away(self) -> AsyncIterator[None]:
        """Stop daprd in good order."""
        await asyncio.to_thread(self.daprd.stop)
        try:
            yield
        finally:
            self.daprd.start()

    @asynccontextmanager
    async def sidecar_stalled(self) -> AsyncIterator[None]:
        """Stop daprd in the middle of what it does."""
        (pid,) = self.daprd.pids()
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    async def is_ready(self) -> None:
        """Wait until what is published reaches the probe, and will after a restart of the broker too."""

        async def keeps() -> bool:
            return await asyncio.to_thread(rabbitmq.keeps, self.node, TOPIC, "order")

        await eventually(keeps, f"{TOPIC} is kept; see {self.daprd.log}")
        await self.has_nothing_left()


@asynccontextmanager
async def simulated() -> AsyncIterator[Stage]:
    """Make a stage with the simulated sidecar; as daprd does, it has asked the app for its subscriptions."""
    dapr = SimulatedDapr()
    wire = Overheard(Wire(dapr))
    async with Sidecar("http://sidecar", deadline=DEADLINE, transport=wire) as sidecar:
        stage = SimulatedStage(wire=wire, sidecar=sidecar, dapr=dapr)
        await stage.turn()
        yield stage


@asynccontextmanager
async def real(folder: Path) -> AsyncIterator[Stage]:
    """Run daprd and RabbitMQ on free ports, with all that they keep in this folder, and serve the probe."""
    system = runfile.load(runfile.free_offset(), folder)
    app, probe = system.app("order"), Probe()
    node = rabbitmq_node.node_in(folder / "rabbitmq", system.port("rabbitmq"))
    environment = {**os.environ, **system.addresses()}  # noqa: TID251 - handed on, not read
    daprd = Part(sidecar_command(system, app), environment, folder / "daprd.log")
    wire = Overheard(httpx.AsyncHTTPTransport())
    url = f"http://127.0.0.1:{app['daprHTTPPort']}"
    async with Sidecar(url, deadline=DEADLINE, transport=wire) as sidecar:
        stage = RealStage(
            wire=wire, sidecar=sidecar, probe=probe, node=node, daprd=daprd
        )
        with served(probe.app, app["appPort"]):
            try:
                await stage.start_broker()
                daprd.start()
                await stage.is_ready()
                yield stage
            finally:
                await asyncio.to_thread(daprd.stop)
                await stage.stop_broker()
