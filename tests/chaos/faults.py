"""Carries faults out on a running system, each with its end, and writes them to a journal."""

import asyncio
import json
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import httpx

from tests.chaos import ledger
from tests.chaos.plan import Fault
from tests.chaos.proxy import Mode
from tests.chaos.stage import Stage

QUEUE = "/api/queues/%2F/notification-OrderCreated/contents"
GUEST = ("guest", "guest")
FORGED = (
    b"{",
    b'{"specversion": "1.0", "id": "1", "source": "/elsewhere", "type": "OrderCreated", "data": {}}',
    b'{"specversion": "1.0", "id": "2", "source": "/order", "type": "OrderCreated", "data": {"orderId": 1}}',
    json.dumps({"id": "3", "source": "/order", "data": "x" * 2**20}).encode(),
)
"""Events that were never sent: broken, from elsewhere, malformed, huge."""


@dataclass
class Journal:
    """What was done to the system, when, and how long it took until an order placed after it was notified."""

    begun: float = field(default_factory=time.monotonic)
    entries: list[dict[str, Any]] = field(default_factory=list)

    def write(self, fault: Fault, started: float, recovered: float) -> None:
        """Write one fault down: seconds since the beginning, and the seconds until all worked again."""
        at = round(started - self.begun, 1)
        entry = {"at": at, **asdict(fault), "recovered": round(recovered, 1)}
        self.entries.append(entry)


async def inflict(stage: Stage, fault: Fault) -> None:
    """Do it, wait for its end, and undo it."""
    if fault.kind in _ON_PARTS:
        await _ON_PARTS[fault.kind](stage, fault)
    elif fault.part in stage.links:
        await _on_link(stage, fault)
    else:
        await _ON_BROKER[fault.kind](stage)


async def _kill(stage: Stage, fault: Fault) -> None:
    if stage.part(fault.part):
        stage.signal(fault.part, signal.SIGKILL)  # its keeper starts it again
    else:
        await stage.down(fault.part)
        await stage.up(fault.part)


async def _terminate(stage: Stage, fault: Fault) -> None:
    stage.signal(fault.part, signal.SIGTERM)
    if not stage.part(fault.part):
        await stage.down(fault.part)
        await stage.up(fault.part)


async def _hold_still(stage: Stage, fault: Fault) -> None:
    pids = stage.pids(fault.part)
    stage.signal(fault.part, signal.SIGSTOP)
    try:
        await asyncio.sleep(fault.seconds)
    finally:
        if pids & stage.pids(fault.part):
            stage.signal(fault.part, signal.SIGCONT)


async def _take_away(stage: Stage, fault: Fault) -> None:
    await stage.down(fault.part)
    await asyncio.sleep(fault.seconds)
    await stage.up(fault.part)


async def _on_link(stage: Stage, fault: Fault) -> None:
    link = stage.links[fault.part]
    if fault.kind == "cut":
        link.cut()
    elif fault.kind == "cut after":
        link.cut_after(int(fault.seconds * 1000))
    else:
        link.set(Mode(fault.kind))
        await asyncio.sleep(fault.seconds)
        link.set(Mode.PASS)


async def _purge(stage: Stage) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        await client.delete(f"{stage.real.own.page}{QUEUE}", auth=GUEST)


async def _duplicates(stage: Stage) -> None:
    newest = "SELECT event FROM outbox WHERE topic = 'OrderCreated' ORDER BY position DESC LIMIT 20"
    events = await ledger.rows(stage.urls["order"], newest)
    await _publish(stage, [str(event).encode() for (event,) in events])


async def _forged(stage: Stage) -> None:
    await _publish(stage, list(FORGED))


async def _publish(stage: Stage, bodies: list[bytes]) -> None:
    port = stage.real.system.app("order")["daprHTTPPort"]
    url = f"http://127.0.0.1:{port}/v1.0/publish/pubsub/OrderCreated"
    headers = {"content-type": "application/cloudevents+json"}
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        for body in bodies:
            await client.post(url, content=body, headers=headers)


_ON_PARTS: dict[str, Callable[[Stage, Fault], Awaitable[None]]] = {
    "kill": _kill,
    "terminate": _terminate,
    "stop": _hold_still,
    "down": _take_away,
}
_ON_BROKER: dict[str, Callable[[Stage], Awaitable[None]]] = {
    "wipe": Stage.wipe_broker,
    "purge": _purge,
    "duplicates": _duplicates,
    "forged": _forged,
}
