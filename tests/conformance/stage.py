"""What a test of this suite runs on, of either kind: here the simulated one, in real_stage.py the real one."""

import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import TraceConfig, TraceRequestEndParams

from chassis.dapr.sidecar import Entry, Sidecar
from chassis.dapr.wire import Answer, Call, HttpWire, Wire
from tests.conformance.probe import PUBSUB, TOPIC, Probe, an_event, status
from tests.support.carried import Carried
from tests.support.eventually import eventually
from tests.support.mail_server import Mailbox
from tests.support.simulated_dapr import SimulatedDapr
from tests.support.simulated_dapr import Wire as SimulatedWire
from tests.support.simulated_delivery import Message

DEADLINE, SHORT = 4.0, 2.0
"""Seconds that a call to daprd may take (without a broker it refuses after two), and to the simulated one."""
ORDER, NOTIFICATION, EMAIL = "order", "notification", "email"


@dataclass
class Overheard:
    """What was answered over some wires: each complete status and body, and which paths began to be."""

    answers: list[tuple[int, str]] = field(default_factory=list)
    begun: list[str] = field(default_factory=list)

    def over(self, wire: Wire) -> Wire:
        """Return a wire on which every answer is recorded."""
        return _Recorded(wire, self)

    def over_http(self, url: str) -> Wire:
        """Return the wire to a real sidecar, on which the beginning of an answer is recorded too."""
        trace = TraceConfig()

        async def begins(_: object, __: object, end: TraceRequestEndParams) -> None:
            self.begun.append(end.url.path)

        trace.on_request_end.append(begins)
        return self.over(HttpWire(url, [trace]))


@dataclass(frozen=True)
class _Recorded:
    wire: Wire
    overheard: Overheard

    async def carry(self, call: Call) -> Answer:
        answer = await self.wire.carry(call)
        self.overheard.answers.append((answer.status, answer.text))
        return answer

    async def close(self) -> None:
        await self.wire.close()


@dataclass(kw_only=True)
class Stage(ABC):
    """One kind of sidecar.

    `sidecar` is that of the probe, the app `order`; `other` is that of another app, which
    invokes the probe and sends mails.
    """

    wire: Overheard
    sidecar: Sidecar
    other: Sidecar
    mailbox: Mailbox
    probe: Probe = field(default_factory=Probe)

    async def publish(
        self, *events: dict[str, Any], pubsub: str = PUBSUB, topic: str = TOPIC
    ) -> dict[str, str]:
        """Publish events in one batch; return the reasons of those that were refused."""
        entries = [
            Entry(each["id"], json.dumps(each, ensure_ascii=False)) for each in events
        ]
        return await self.sidecar.publish(pubsub, topic, entries)

    async def delivers(
        self, *events: dict[str, Any], times: int = 1
    ) -> list[dict[str, Any]]:
        """Wait until each of the events has been delivered so often; return them as they last arrived."""
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
        self.probe.answers[last["id"]].extend(status("RETRY") for _ in range(pauses))
        await self.publish(last)
        await self.delivers(last, times=pauses + 1)

    def count(self, event: dict[str, Any]) -> int:
        """Return how often an event has been delivered so far."""
        return len(self.probe.deliveries[event["id"]])

    @abstractmethod
    async def put(self, topic: str, body: bytes) -> None:
        """Publish these bytes past the sidecar."""

    @abstractmethod
    async def turn(self) -> None:
        """Deliver what is due."""

    @abstractmethod
    def broker_killed(self) -> AbstractAsyncContextManager[None]:
        """Kill the broker, and start it again at the end with what it had kept."""

    @abstractmethod
    def sidecar_stopped(self) -> AbstractAsyncContextManager[None]:
        """Stop the sidecar, and start it again at the end."""

    @abstractmethod
    def app_stopped(self) -> AbstractAsyncContextManager[None]:
        """Stop the probe, and start it again at the end."""

    @abstractmethod
    def mail_server_stopped(self) -> AbstractAsyncContextManager[None]:
        """Stop the mail server, and start it again at the end."""

    @abstractmethod
    def sidecar_stalled(self) -> AbstractAsyncContextManager[None]:
        """Make the sidecar accept calls but answer none, until the end."""


@dataclass(kw_only=True)
class SimulatedStage(Stage):
    """The simulated sidecar, which delivers when `turn` is called."""

    dapr: SimulatedDapr

    async def put(self, topic: str, body: bytes) -> None:
        """Put a message into the queue."""
        self.dapr.queue.append(Message(topic, body))

    async def turn(self) -> None:
        """Deliver once what is in the queue."""
        await self.dapr.deliver_to(self.probe.app)

    @asynccontextmanager
    async def broker_killed(self) -> AsyncIterator[None]:
        """Make the broker accept nothing."""
        self.dapr.available = False
        yield
        self.dapr.available = True

    @asynccontextmanager
    async def sidecar_stopped(self) -> AsyncIterator[None]:
        """Make it refuse connections."""
        self.dapr.running = False
        yield
        self.dapr.running = True

    @asynccontextmanager
    async def app_stopped(self) -> AsyncIterator[None]:
        """Make the probe unreachable."""
        self.dapr.away.add(ORDER)
        yield
        self.dapr.away.remove(ORDER)

    @asynccontextmanager
    async def mail_server_stopped(self) -> AsyncIterator[None]:
        """Make the mail server unreachable."""
        self.dapr.away.add(EMAIL)
        yield
        self.dapr.away.remove(EMAIL)

    @asynccontextmanager
    async def sidecar_stalled(self) -> AsyncIterator[None]:
        """Make it not answer."""
        self.dapr.answering.clear()
        yield
        self.dapr.answering.set()


@asynccontextmanager
async def simulated() -> AsyncIterator[Stage]:
    """Make a stage with the simulated sidecar; as daprd does, it has asked the app for its subscriptions."""
    dapr, probe = SimulatedDapr(), Probe()
    dapr.apps[ORDER] = probe.app
    dapr.pubsubs.append("pubsub-2")
    overheard = Overheard()
    wire = overheard.over(Carried(SimulatedWire(dapr)))
    async with Sidecar(
        "http://sidecar", deadline=SHORT, send_deadline=SHORT, wire=wire
    ) as sidecar:
        stage = SimulatedStage(
            wire=overheard,
            sidecar=sidecar,
            other=sidecar,
            mailbox=dapr.bindings[EMAIL],
            probe=probe,
            dapr=dapr,
        )
        await stage.turn()
        yield stage
