"""The actors of the journeys: a shop that accepts orders through Dapr, and customers who are notified."""

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx

from chassis.reconciler.grace_period import LONGEST
from tests.support.eventually import eventually
from tests.support.system import RealSystem

PATIENCE = LONGEST + 30.0
"""Seconds that a customer waits: what the broker did not deliver is pulled, at the latest, after LONGEST."""


def an_address() -> str:
    """Return an e-mail address that nobody else has."""
    return f"{uuid4()}@example.com"


@dataclass(frozen=True)
class Order:
    """An order that the shop has accepted."""

    id: str
    customer: str


@dataclass(frozen=True)
class Shop:
    """The shop as its customers see it."""

    system: RealSystem
    http: httpx.AsyncClient

    async def orders(
        self, customer: str, deadline: float = PATIENCE, email: str | None = None
    ) -> Order:
        """Order as a customer, through Dapr; try again with the same key while there is no answer."""
        url = f"{self.system.system.invoke_url('order')}/api/order"
        body = {"customerName": customer, "customerEmail": email}
        key = {"Idempotency-Key": str(uuid4())}

        async def accepted() -> str | None:
            try:
                answer = await self.http.post(url, json=body, headers=key)
            except httpx.HTTPError:
                return None
            # daprd may answer 2xx for an app that is not there: only the order's id counts.
            return (
                answer.json()["orderId"]
                if answer.status_code == 201 and answer.content
                else None
            )

        return Order(
            await eventually(accepted, "the shop accepts the order", deadline), customer
        )

    async def releases(self, order: Order) -> None:
        """Release what is held or has failed, through Dapr."""
        base = self.system.system.invoke_url("notification")
        answer = await self.http.post(
            f"{base}/api/notification/{order.id}/release",
            json={"by": "the shop", "reason": "The customer asked."},
            headers={"Idempotency-Key": order.id},
        )
        assert answer.status_code == 200, answer.text


@dataclass(frozen=True)
class Customer:
    """Whoever has ordered."""

    shop: Shop

    async def is_notified(self, order: Order) -> str:
        """Wait until the notification for the order is sent; return its text."""

        async def sent() -> str | None:
            found = await self._finds("notification", order)
            return found["text"] if found and found["state"] == "SENT" else None

        return await eventually(sent, f"{order.customer} is notified", PATIENCE)

    async def has_read(self, order: Order) -> list[str]:
        """Return the lines about the order that the notification service has printed, once there are any."""

        async def lines() -> list[str] | None:
            # A notification is SENT a moment before its line is printed: the line follows the commit.
            written = self.shop.system.apps["notification"].said().splitlines()
            return [line for line in written if order.id in line] or None

        return await eventually(lines, f"{order.customer} reads a line")

    async def sees(self, order: Order, state: str) -> dict[str, str]:
        """Wait until the order shows its notification in this state; return what it shows of it."""

        async def shown() -> dict[str, str] | None:
            found = await self._finds("order", order)
            notification: dict[str, str] = found["notification"] if found else {}
            return notification if notification.get("state") == state else None

        return await eventually(shown, f"{order.customer} sees {state}", PATIENCE)

    async def is_told_why(self, order: Order) -> str:
        """Wait until the notification shows why it was not sent yet; return the reason."""

        async def reason() -> str | None:
            found = await self._finds("notification", order)
            return found["reason"] if found else None

        return await eventually(reason, f"{order.customer} is told why", PATIENCE)

    async def _finds(self, service: str, order: Order) -> dict[str, Any] | None:
        url = f"{self.shop.system.system.invoke_url(service)}/api/{service}/{order.id}"
        try:
            answer = await self.shop.http.get(url)
        except httpx.HTTPError:
            return None
        # daprd may answer 2xx for an app that is not there.
        is_there = answer.status_code == 200 and answer.content
        return answer.json() if is_there else None
