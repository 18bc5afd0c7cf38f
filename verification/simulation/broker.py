"""A broker with moods: it drops, doubles, delays and parks, and acknowledges what nobody has handled."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import httpx

from tests.support import simulated_delivery
from tests.support.simulated_delivery import Message
from verification.simulation.chance import Chance
from verification.simulation.forgeries import FORGERIES, REPLAY, forged, replayed
from verification.simulation.profiles import Habits, Span

Take = Callable[[str], str]
"""Returns what goes wrong the next time that this happens, if anything does."""
TRANSIT = {"delay": (2.0, 15.0), "park": (20.0, 60.0)}
"""How long a message is under way which something happens to."""
EARLY = (0.0, 0.001)
"""How long a forgery is under way: mostly it arrives before the authentic event does."""
REPLAYED_AFTER = (0.0, 60.0)


@dataclass
class Broker:
    """Carries what was accepted to the one service that subscribes to it, each message by itself.

    `transport` leads to the service; it raises httpx.ConnectError where there is none. `subscriptions` are
    the service's own, by topic. `forged` are the bodies of what somebody else has published, and whether the
    service has acknowledged each.
    """

    transport: httpx.AsyncBaseTransport
    habits: Habits
    chance: Chance
    fault: Take
    note: Callable[[str], None]
    subscriptions: dict[str, dict[str, Any]] = field(default_factory=dict)
    forged: dict[bytes, bool] = field(default_factory=dict)
    stands_still_until: float = 0.0
    sidecar_down_until: float = 0.0
    under_way: int = 0
    _wiped: int = 0
    _waiting: dict[str, list[tuple[Message, asyncio.Future[str]]]] = field(
        default_factory=dict
    )
    _posting: dict[str, asyncio.Lock] = field(
        default_factory=lambda: defaultdict(asyncio.Lock)
    )

    def __post_init__(self) -> None:
        """Make the sidecar's client of the service, and the lock that keeps messages in order."""
        self._client = httpx.AsyncClient(
            transport=self.transport, base_url="http://localhost"
        )
        self._turn: AbstractAsyncContextManager[Any] = (
            asyncio.Lock() if self.habits.keeps_order else nullcontext()
        )

    def accept(self, message: Message) -> None:
        """Carry a message, once or twice or not at all."""
        act = self.fault("message")
        if act in FORGERIES:
            forgery = forged(act, message, self.chance)
            self.forged[forgery.body] = False
            self._begin(forgery, EARLY)
        if act == REPLAY:
            self._begin(replayed(message, self.chance), REPLAYED_AFTER)
        if act == "drop":
            return
        transit = TRANSIT.get(act, self.habits.transit)
        is_doubled = act == "duplicate" or self._happens(self.habits.doubles)
        for _ in range(2 if is_doubled else 1):
            self._begin(message, transit)

    def wipe(self) -> None:
        """Lose all that is under way."""
        self._wiped += 1

    def _begin(self, message: Message, transit: Span) -> None:
        carried = self._carry(message, self.chance.between(*transit))
        self.under_way += 1
        asyncio.get_running_loop().create_task(carried)

    def _happens(self, probability: float) -> bool:
        return probability > 0 and self.chance.between(0, 1) < probability

    async def _carry(self, message: Message, wait: float) -> None:
        wiped = self._wiped
        try:
            async with self._turn:
                await self._until_settled(message, wait, wiped)
        finally:
            self.under_way -= 1

    async def _until_settled(self, message: Message, wait: float, wiped: int) -> None:
        while True:
            await asyncio.sleep(wait)
            if wiped != self._wiped:
                return
            verdict = await self._try(message)
            self.note(f"delivered {message.topic}: {verdict}")
            if verdict in {"SUCCESS", "NACK"}:
                return
            if verdict == "DROP":
                dead = self.subscriptions[message.topic]["deadLetterTopic"]
                message = replace(message, topic=dead)
            wait = self.chance.between(*self.habits.again)

    async def _try(self, message: Message) -> str:
        await _until(self.stands_still_until)
        if await self._is_refused():
            return "NACK"
        if message.topic not in self.subscriptions:
            return "RETRY"
        act = self.fault("delivery")
        if act == "acknowledge":
            return "SUCCESS"  # and nobody has seen it
        verdict = await self._deliver(message)
        if verdict == "SUCCESS" and message.body in self.forged:
            self.forged[message.body] = True
        return "RETRY" if act == "again" else verdict

    async def _is_refused(self) -> bool:
        # What a sidecar has when it ends is permanently refused by it, or comes again some time after it.
        if not await _until(self.sidecar_down_until):
            return False
        if self._happens(self.habits.nacks):
            return True
        await asyncio.sleep(self.chance.between(*self.habits.after_sidecar))
        return False

    async def _deliver(self, message: Message) -> str:
        # daprd posts one bulk at a time, of what has come while it posted the one before.
        verdict: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(message.topic, []).append((message, verdict))
        async with self._posting[message.topic]:
            if not verdict.done():
                await self._post(message.topic)
        return await verdict

    async def _post(self, topic: str) -> None:
        subscription = self.subscriptions[topic]
        most = simulated_delivery.most(subscription)
        waiting = self._waiting[topic]
        at_once, self._waiting[topic] = waiting[:most], waiting[most:]
        try:
            verdicts = await simulated_delivery.deliver(
                self._client, subscription, *(message for message, _ in at_once)
            )
        except httpx.TransportError:
            verdicts = ["RETRY"] * len(at_once)
        for (_, verdict), each in zip(at_once, verdicts, strict=True):
            verdict.set_result(each)


async def _until(when: float) -> bool:
    """Wait until then; return whether there was anything to wait for."""
    left = when - asyncio.get_running_loop().time()
    if left > 0:
        await asyncio.sleep(left)
    return left > 0
