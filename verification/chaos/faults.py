"""Injects faults into a running system, each with its end, and writes them to a journal."""

import asyncio
import json
import signal
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import httpx

from tests.support.eventually import eventually
from toolchain.supervise import server
from verification.chaos import disks
from verification.chaos.commits import hits_of
from verification.chaos.plan import (
    COMMIT_UNKNOWN,
    COMMITS,
    ENDS,
    KILL_AT_COMMIT,
    Fault,
)
from verification.chaos.proxy import Mode
from verification.chaos.reading import FORGED
from verification.chaos.stage import ENDS_WITHIN, Stage

QUEUE = "/api/queues/%2F/notification-OrderCreated/contents"
GUEST = ("guest", "guest")
ENVELOPE = "application/cloudevents+json"
HEAD = {"specversion": "1.0", "type": "OrderCreated"}
MADE_UP = (
    {**HEAD, "id": f"{FORGED} 1", "source": "/elsewhere", "data": {}},
    {**HEAD, "id": f"{FORGED} 2", "source": "/order", "data": {"orderId": 1}},
    {"id": f"{FORGED} 3", "source": "/order", "data": FORGED * 2**16},
)
"""Events that nobody sent: from elsewhere, malformed, huge."""
NO_JSON = f"{{{FORGED}".encode()
AS_IT_IS = "?metadata.rawPayload=true"
"""Only so does daprd publish what it cannot read."""
CLOCK_STEP = 3600
"""Seconds by which a clock is set; what is kept for long (keys 24 hours, events 7 days) stays kept."""


@dataclass
class Journal:
    """What was done to the system, when, and how long it took until an order placed after it was notified."""

    begun: float = field(default_factory=time.monotonic)
    entries: list[dict[str, Any]] = field(default_factory=list)

    def write(
        self,
        fault: Fault,
        started: float,
        recovered: float | None,
        groups: Sequence[int] = (),
    ) -> dict[str, Any]:
        """Record one fault: seconds since the beginning, the seconds until all worked again, the groups hit."""
        at = round(started - self.begun, 1)
        back = None if recovered is None else round(recovered, 1)
        entry = {"at": at, **asdict(fault), "recovered": back, "groups": [*groups]}
        self.entries.append(entry)
        return entry

    def ended(self, parts: Collection[str]) -> int:
        """Return how many faults ended a process of these, or what it was about to print."""
        mine = [each for each in self.entries if each["part"] in parts]
        unknown = (each for each in mine if each["kind"] == COMMIT_UNKNOWN)
        ends = sum(each["kind"] in ENDS for each in mine)
        return ends + sum(len(each["groups"]) for each in unknown)


async def inject(stage: Stage, fault: Fault) -> Sequence[int]:
    """Inject it, wait for its end, and undo it; return the sizes of the groups whose commit it hit."""
    if fault.kind in COMMITS:
        return await _at_commit(stage, fault)
    if fault.kind in _ON_PARTS:
        await _ON_PARTS[fault.kind](stage, fault)
    elif fault.part in stage.links:
        await _on_link(stage, fault)
    else:
        await _ON_BROKER[fault.kind](stage)
    return ()


async def _kill(stage: Stage, fault: Fault) -> None:
    if stage.part(fault.part):
        await stage.ends(fault.part, signal.SIGKILL)
    else:
        await stage.down(fault.part)
        await stage.up(fault.part)


async def _terminate(stage: Stage, fault: Fault) -> None:
    if stage.part(fault.part):
        await stage.ends(fault.part, signal.SIGTERM)
    else:
        await asyncio.to_thread(server.stop, stage.servers[fault.part])
        await stage.up(fault.part)


async def _hold_still(stage: Stage, fault: Fault) -> None:
    pids = stage.pids(fault.part)
    stage.signal(fault.part, signal.SIGSTOP)
    try:
        await asyncio.sleep(fault.seconds)
    finally:
        if pids & stage.pids(fault.part):
            stage.signal(fault.part, signal.SIGCONT)


async def _take_down(stage: Stage, fault: Fault) -> None:
    await stage.down(fault.part)
    await asyncio.sleep(fault.seconds)
    await stage.up(fault.part)


async def _set_back(stage: Stage, fault: Fault) -> None:
    await _set_clock(stage, fault, -CLOCK_STEP)


async def _set_forward(stage: Stage, fault: Fault) -> None:
    await _set_clock(stage, fault, CLOCK_STEP)


async def _set_clock(stage: Stage, fault: Fault, step: int) -> None:
    # Back again afterwards: that is a step the other way.
    stage.set_clock(fault.part, step)
    try:
        await asyncio.sleep(fault.seconds)
    finally:
        stage.set_clock(fault.part, 0)


async def _fill_disk(stage: Stage, fault: Fault) -> None:
    folder = stage.disks[fault.part]
    try:
        await asyncio.to_thread(disks.fill, folder)
        await asyncio.sleep(fault.seconds)
    finally:
        disks.empty(folder)


async def _at_commit(stage: Stage, fault: Fault) -> list[int]:
    file, before = stage.commit_fault(fault.part), stage.pids(fault.part)
    file.write_text(fault.kind)
    if fault.kind == KILL_AT_COMMIT:

        async def is_gone() -> bool:
            return not before & stage.pids(fault.part)

        await eventually(is_gone, f"{fault.part} dies at a commit", ENDS_WITHIN)
    else:
        await asyncio.sleep(fault.seconds)
    file.unlink()
    hits = hits_of(file)
    sizes = [int(each) for each in hits.read_text().split()] if hits.exists() else []
    hits.unlink(missing_ok=True)
    return sizes


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
    for event in await _newest(stage, 20):
        await _publish(stage, event.encode())


async def _newest(stage: Stage, limit: int) -> list[str]:
    """Return the newest events as they were stored."""
    newest = f"SELECT event FROM outbox WHERE topic = 'OrderCreated' ORDER BY position DESC LIMIT {limit}"
    return [str(event) for (event,) in await stage.readers["order"].all(newest)]


async def _forged(stage: Stage) -> None:
    await _publish(stage, NO_JSON, "text/plain", AS_IT_IS)
    for event in MADE_UP:
        await _publish(stage, json.dumps(event).encode())
    for stored in await _newest(stage, 1):
        for event in _forgeries(json.loads(stored)):
            await _publish(stage, json.dumps(event).encode())


def _forgeries(authentic: dict[str, Any]) -> list[dict[str, Any]]:
    data = {**authentic["data"], "customerName": FORGED}
    altered = {**authentic, "data": data}
    unsigned = {**altered, "signature": ""}
    replayed = {**authentic, "id": f"{FORGED} 4"}
    return [altered, unsigned, replayed]


async def _publish(
    stage: Stage, body: bytes, content_type: str = ENVELOPE, how: str = ""
) -> None:
    port = stage.real.system.app("order")["daprHTTPPort"]
    url = f"http://127.0.0.1:{port}/v1.0/publish/pubsub/OrderCreated{how}"
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        headers = {"content-type": content_type, **stage.tokens()}
        await client.post(url, content=body, headers=headers)


_ON_PARTS: dict[str, Callable[[Stage, Fault], Awaitable[None]]] = {
    "kill": _kill,
    "terminate": _terminate,
    "stop": _hold_still,
    "down": _take_down,
    "clock back": _set_back,
    "clock forward": _set_forward,
    "disk full": _fill_disk,
}
_ON_BROKER: dict[str, Callable[[Stage], Awaitable[None]]] = {
    "wipe": Stage.wipe_broker,
    "purge": _purge,
    "duplicates": _duplicates,
    "forged": _forged,
}
NEEDS_RECORDS = ("duplicates", "forged", *COMMITS)
"""Kinds that need an outbox, an inbox or a database: the ordinary program has none, and is spared them."""
