"""What stands before the nodes of a broker whose clients know one address: a Service of Kubernetes, or HAProxy."""

import asyncio
from dataclasses import dataclass

from verification.chaos.proxy import Proxy

PATIENCE = 1.0
"""Seconds for a node that does not answer; then it is the next one's turn."""


@dataclass
class Balancer(Proxy):
    """Connects each client to the next node that answers; a connection stays where it is."""

    addresses: tuple[tuple[str, int], ...] = ()
    turn: int = 0

    async def _reach(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        self.turn += 1
        for number in range(len(self.addresses)):
            host, port = self.addresses[(self.turn + number) % len(self.addresses)]
            try:
                async with asyncio.timeout(PATIENCE):
                    return await asyncio.open_connection(host, port)
            except OSError:  # TimeoutError is one
                continue
        raise ConnectionRefusedError("no node answers")
