"""The customers: they order through Dapr while faults happen, and try again until they are answered 201."""

import asyncio
import itertools
import time
from dataclasses import dataclass, field

import httpx

CLIENTS = 8
PATIENCE = 20.0


@dataclass
class Load:
    """Who orders what: `number` orders in about `seconds`, one in `mail_every` with an e-mail address."""

    url: str
    number: int
    seconds: float
    mail_every: int = 20
    accepted: list[str] = field(default_factory=list)
    retried: int = 0

    async def place(self) -> None:
        """Place all orders; returns when each was accepted."""
        begun, numbers = time.monotonic(), itertools.count()
        limits = httpx.Limits(max_connections=CLIENTS)
        async with httpx.AsyncClient(
            trust_env=False, limits=limits, timeout=PATIENCE
        ) as http:

            async def customer() -> None:
                while (each := next(numbers)) < self.number:
                    due = begun + each * self.seconds / self.number
                    await asyncio.sleep(max(0.0, due - time.monotonic()))
                    await self.order(http, f"Customer {each}", self._email(each))

            await asyncio.gather(*(customer() for _ in range(CLIENTS)))

    async def order(
        self, http: httpx.AsyncClient, name: str, email: str | None = None
    ) -> str:
        """Order until it is accepted; give the order's id."""
        body = {"customerName": name, "customerEmail": email}
        while True:
            try:
                answer = await http.post(f"{self.url}/api/order", json=body)
                # daprd may answer 2xx for an app that is not there: only the order's id counts.
                if answer.status_code == 201 and answer.content:
                    identity = str(answer.json()["orderId"])
                    self.accepted.append(identity)
                    return identity
            except httpx.HTTPError:
                pass
            self.retried += 1
            await asyncio.sleep(0.2)

    def _email(self, number: int) -> str | None:
        with_mail = self.mail_every and number % self.mail_every == 0
        return f"customer{number}@example.org" if with_mail else None
