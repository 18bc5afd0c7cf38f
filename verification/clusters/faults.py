"""What is done to clusters: containers killed, stopped, held still, cut off; a rolling restart; a failover."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from tests.support.eventually import eventually
from verification.chaos.plan import (
    FAIL_OVER,
    FAIL_OVER_BY_CABLE,
    NODES,
    PAIR,
    PARTITION,
    ROLLING,
    Fault,
)
from verification.clusters import kafka, rabbitmq
from verification.clusters.nodes import Nodes
from verification.clusters.postgresql import Pair

SERVES_WITHIN, WHOLE_WITHIN = 60.0, 120.0
LATE = 2.0
BROKERS = {"rabbitmq": rabbitmq, "kafka": kafka}
LASTING = ("down", "stop", PARTITION)
"""Kinds that are undone after some seconds; the others at once."""
STARTS = ("kill", "terminate", "down")
Step = Callable[[Nodes, str], object]
DONE_AND_UNDONE: dict[str, tuple[Step, Step]] = {
    "kill": (Nodes.kill, Nodes.start),
    "terminate": (Nodes.stop, Nodes.start),
    "down": (Nodes.kill, Nodes.start),
    "stop": (Nodes.pause, Nodes.unpause),
    PARTITION: (Nodes.cut, Nodes.join),
}


def container_of(part: str) -> str:
    """Return in which container a part of the plan is; primary and standby change places."""
    return part.replace(" ", "-")


@dataclass
class Clusters:
    """The clusters of a system that runs."""

    nodes: Nodes
    pair: Pair
    broker: str

    def serves(self, name: str) -> bool:
        """Return whether a node of the broker, or a database, takes connections."""
        if name in self.pair.names:
            return self.pair.serves(name)
        return bool(BROKERS[self.broker].serves(self.nodes, name))

    async def inject(self, fault: Fault) -> Sequence[int]:
        """Inject a fault, wait for its end, and undo it."""
        if fault.kind == ROLLING:
            await self._roll()
        elif fault.kind in (FAIL_OVER, FAIL_OVER_BY_CABLE):
            await self._fail_over(fault)
        else:
            await self._disturb(fault)
        return ()

    async def _disturb(self, fault: Fault) -> None:
        name = container_of(fault.part)
        if fault.part in PAIR:
            name = self.pair.names[PAIR.index(fault.part)]
        do, undo = DONE_AND_UNDONE[fault.kind]
        await asyncio.to_thread(do, self.nodes, name)
        if fault.kind in LASTING:
            await asyncio.sleep(fault.seconds)
        await asyncio.to_thread(undo, self.nodes, name)
        # Of servers one at a time is away; all else, a new order tells when it works again.
        if fault.kind in STARTS and fault.part in (*PAIR, *NODES):
            await becomes(lambda: self.serves(name), f"{name} serves")

    async def _roll(self) -> None:
        """Restart each node in good order, the next one when the broker is whole again."""
        for name in map(container_of, NODES):
            await asyncio.to_thread(self.nodes.stop, name)
            await asyncio.to_thread(self.nodes.start, name)
            await becomes(partial(self.serves, name), f"{name} serves")
            if self.broker == "rabbitmq":
                await becomes(
                    lambda: rabbitmq.is_whole(self.nodes),
                    "every queue has three copies",
                    WHOLE_WITHIN,
                )

    async def _fail_over(self, fault: Fault) -> None:
        """Kill the primary, or cut it off, promote the standby, and make a new standby in the other place."""
        await becomes(self.pair.is_whole, "the standby has all", WHOLE_WITHIN)
        lost, standby = self.pair.names
        if not self.pair.synchronous:
            # As far behind as a standby may be that no commit waits for.
            await asyncio.to_thread(self.nodes.cut, standby)
            await asyncio.sleep(LATE)
        if fault.kind == FAIL_OVER_BY_CABLE:
            await asyncio.to_thread(self.nodes.cut, lost)
            await asyncio.sleep(fault.seconds)
        else:
            await asyncio.to_thread(self.nodes.kill, lost)
        if not self.pair.synchronous:
            await asyncio.to_thread(self.nodes.join, standby)
        await asyncio.to_thread(self.pair.promote)
        # Nobody must find two primaries: the old one never comes back.
        await asyncio.to_thread(self.nodes.remove, lost)
        await asyncio.to_thread(self.pair.start_standby)


async def becomes(
    attempt: Callable[[], bool], what: str, seconds: float = SERVES_WITHIN
) -> None:
    """Wait until something is true, asked on a thread."""
    await eventually(lambda: asyncio.to_thread(attempt), what, seconds, 0.2)
