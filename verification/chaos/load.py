"""The customers: they order through Dapr while faults happen, and try again until they are answered 201."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol
from uuid import uuid4

import httpx

PATIENCE = 20.0
PAUSE = 0.2


class Accepted(Protocol):
    """Where accepted orders are recorded: the books of a run, or the playground's tally."""

    def accepted(self, order_id: str, channel: str = "line") -> None:
        """Record an order that was answered 201, and how its customer is to be notified."""


@dataclass
class Load:
    """`number` orders in about `seconds`, one in `mail_every` with an e-mail address.

    `urls` lead to the order service, through the sidecar of each of its processes; a customer who gets no order
    by one tries the next. `tokens` returns headers that prove who they are. `trouble` counts what was answered
    instead of an order, and what was raised.
    """

    urls: Sequence[str]
    books: Accepted
    number: int
    seconds: float
    mail_every: int = 20
    clients: int = 8
    tokens: Callable[[], Mapping[str, str]] = dict
    placed: int = 0
    trouble: Counter[str] = field(default_factory=Counter)
    _hurry: asyncio.Event = field(default_factory=asyncio.Event)

    async def place(self) -> None:
        """Place all orders; returns when each was accepted."""
        begun, numbers = time.monotonic(), itertools.count()
        async with self.customers() as http:

            async def customer() -> None:
                while (each := next(numbers)) < self.number:
                    due = begun + each * self.seconds / self.number
                    await self._wait(due - time.monotonic())
                    await self.order(http, f"Customer {each}", self._email(each))

            async with asyncio.TaskGroup() as group:
                for _ in range(self.clients):
                    group.create_task(customer())

    def hurry(self) -> None:
        """Order without waiting from now on: the faults are over."""
        self._hurry.set()

    async def _wait(self, seconds: float) -> None:
        if seconds > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), seconds)

    def customers(self) -> httpx.AsyncClient:
        """Open the connections of customers."""
        limits = httpx.Limits(max_connections=self.clients)
        return httpx.AsyncClient(trust_env=False, limits=limits, timeout=PATIENCE)

    async def order(
        self, http: httpx.AsyncClient, name: str, email: str | None = None
    ) -> str:
        """Order until it is accepted, always with the same Idempotency-Key; return the order's id."""
        body = {"customerName": name, "customerEmail": email}
        headers = {"idempotency-key": str(uuid4()), **self.tokens()}
        for attempt in itertools.count(self.placed):
            url = f"{self.urls[attempt % len(self.urls)]}/api/order"
            try:
                answer = await http.post(url, json=body, headers=headers)
                identity, what = _read(answer)
            except httpx.HTTPError as error:
                identity, what = "", type(error).__name__
            if identity:
                self.placed += 1
                self.books.accepted(identity, email or "line")
                return identity
            self.trouble[what] += 1
            await asyncio.sleep(PAUSE)
        raise AssertionError  # the numbers never end

    def _email(self, number: int) -> str | None:
        with_mail = self.mail_every and number % self.mail_every == 0
        return f"customer{number}@example.org" if with_mail else None


def _read(answer: httpx.Response) -> tuple[str, str]:
    # daprd may answer 2xx for an app that is not there, with nothing or with half: only an order's id counts.
    if answer.status_code != 201:
        return "", str(answer.status_code)
    try:
        return str(answer.json()["orderId"]), ""
    except (ValueError, KeyError, TypeError):
        return "", "201 without an order"
