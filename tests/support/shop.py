"""What journeys are told with: a shop that takes orders through Dapr, and customers who are notified."""

from dataclasses import dataclass

import httpx

from tests.support.eventually import eventually
from tests.support.system import RealSystem


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
        self, customer: str, deadline: float = 30.0, email: str | None = None
    ) -> Order:
        """Let a customer order through Dapr, and try again while the shop cannot be reached."""
        url = f"{self.system.system.invoke_url('order')}/api/order"
        body = {"customerName": customer, "customerEmail": email}

        async def accepted() -> str | None:
            try:
                answer = await self.http.post(url, json=body)
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
        """Send after all what is held or has failed, through Dapr."""
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

    async def is_notified(self, order: Order, deadline: float = 30.0) -> str:
        """Wait until the notification for the order is sent; give what it says."""
        url = f"{self.shop.system.system.invoke_url('notification')}/api/notification/{order.id}"

        async def sent() -> str | None:
            try:
                answer = await self.shop.http.get(url)
            except httpx.HTTPError:
                return None
            is_sent = (
                answer.status_code == 200
                and answer.content
                and answer.json()["state"] == "SENT"
            )
            return answer.json()["text"] if is_sent else None

        return await eventually(sent, f"{order.customer} is notified", deadline)

    async def has_read(self, order: Order) -> list[str]:
        """Give the lines about the order that the notification service has printed, once there are any."""

        async def lines() -> list[str] | None:
            # A notification is SENT a moment before its line is printed: the line follows the commit.
            written = self.shop.system.apps["notification"].said().splitlines()
            return [line for line in written if order.id in line] or None

        return await eventually(lines, f"{order.customer} reads a line")

    async def sees(self, order: Order, state: str) -> dict[str, str]:
        """Wait until the order shows its notification in this state; give what it shows of it."""
        url = f"{self.shop.system.system.invoke_url('order')}/api/order/{order.id}"

        async def shown() -> dict[str, str] | None:
            answer = await self.shop.http.get(url)
            if answer.status_code != 200 or not answer.content:
                return None
            notification: dict[str, str] = answer.json()["notification"]
            return notification if notification["state"] == state else None

        return await eventually(shown, f"{order.customer} sees {state}")

    async def is_told_why(self, order: Order) -> str:
        """Wait until the notification shows why it was not sent yet; give the reason."""
        url = f"{self.shop.system.system.invoke_url('notification')}/api/notification/{order.id}"

        async def reason() -> str | None:
            answer = await self.shop.http.get(url)
            is_there = answer.status_code == 200 and answer.content
            return answer.json()["reason"] if is_there else None

        return await eventually(reason, f"{order.customer} is told why")
