"""A broker with moods: it drops, doubles, delays and parks, and acknowledges what nobody has taken."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import httpx

from tests.simulation.chance import Chance
from tests.support import simulated_delivery
from tests.support.simulated_delivery import Message

Take = Callable[[str], str]
"""Tells what goes wrong the next time that this happens, if anything does."""


@dataclass
class Broker:
    """Carries what was accepted to the one service that hears it, each message by itself.

    `transport` leads to the service; it raises httpx.ConnectError where there is none. `subscriptions` are
    those that it has said, by topic.
    """

    transport: httpx.AsyncBaseTransport
    chance: Chance
    fault: Take
    note: Callable[[str], None]
    subscriptions: dict[str, dict[str, Any]] = field(default_factory=dict)
    stands_still_until: float = 0.0
    under_way: int = 0
    _wiped: int = 0

    def __post_init__(self) -> None:
        """Make the sidecar's way to the service."""
        self._client = httpx.AsyncClient(
            transport=self.transport, base_url="http://app"
        )

    def accept(self, message: Message) -> None:
        """Take a message, and carry it, once or twice or not at all."""
        act = self.fault("message")
        if act == "drop":
            return
        wait = {"delay": (2.0, 15.0), "park": (20.0, 60.0)}.get(act, (0.001, 0.02))
        for _ in range(2 if act == "duplicate" else 1):
            carried = self._carry(message, self.chance.between(*wait))
            self.under_way += 1
            asyncio.get_running_loop().create_task(carried)

    def wipe(self) -> None:
        """Lose all that is under way."""
        self._wiped += 1

    async def _carry(self, message: Message, wait: float) -> None:
        wiped = self._wiped
        try:
            while True:
                await asyncio.sleep(wait)
                if wiped != self._wiped:
                    return
                verdict = await self._try(message)
                self.note(f"delivered {message.topic}: {verdict}")
                if verdict == "SUCCESS":
                    return
                if verdict == "DROP":
                    dead = self.subscriptions[message.topic]["deadLetterTopic"]
                    message = replace(message, topic=dead)
                wait = self.chance.between(0.2, 2.0)
        finally:
            self.under_way -= 1

    async def _try(self, message: Message) -> str:
        still = self.stands_still_until - asyncio.get_running_loop().time()
        if still > 0:
            await asyncio.sleep(still)
        if message.topic not in self.subscriptions:
            return "RETRY"
        act = self.fault("delivery")
        if act == "acknowledge":
            return "SUCCESS"  # and nobody has seen it
        try:
            verdict = await self._deliver(message)
        except httpx.TransportError:
            verdict = "RETRY"
        return "RETRY" if act == "again" else verdict

    def _deliver(self, message: Message) -> Awaitable[str]:
        subscription = self.subscriptions[message.topic]
        return simulated_delivery.deliver(self._client, subscription, message)
