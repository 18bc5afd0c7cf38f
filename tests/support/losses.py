"""Four ways in which a broker loses events on the way to a customer, and what arrives nevertheless.

As a program it counts what each of them loses without the pull: python -m tests.support.losses 3 [case ...]
"""

import asyncio
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import httpx

from tests.support.eventually import eventually
from tests.support.shop import Customer, Order, Shop
from tests.support.system import RealSystem, build

QUEUE = "/api/queues/%2F/notification-OrderCreated/contents"
GUEST = ("guest", "guest")
STRAGGLERS = 20.0
"""Seconds that an event which is still on its way has, where nobody pulls it."""

Case = Callable[[RealSystem, Shop], Awaitable[list[Order]]]


@asynccontextmanager
async def open_shop(system: RealSystem) -> AsyncIterator[Shop]:
    """Open the shop of a system."""
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        yield Shop(system, client)


async def the_consumer_comes_late(system: RealSystem, shop: Shop) -> list[Order]:
    """Start the notification service for the first time when everything has been published."""
    await asyncio.to_thread(system.start_broker)
    system.sidecars["order"].start()
    system.apps["order"].start()
    orders = await place(shop, 20)
    await are_published(system, orders)
    system.sidecars["notification"].start()
    system.apps["notification"].start()
    return orders


async def the_broker_is_late(system: RealSystem, shop: Shop) -> list[Order]:
    """Start the broker when everything has been ordered."""
    system.start_apps()
    system.start_sidecars()
    orders = await place(shop, 20)
    await asyncio.to_thread(system.start_broker)
    return orders


async def the_queue_is_purged(system: RealSystem, shop: Shop) -> list[Order]:
    """Purge what the broker keeps for the notification service."""
    sidecar = system.sidecars["notification"]
    await asyncio.to_thread(sidecar.stop)
    orders = await place(shop, 20)
    await are_published(system, orders)
    purged = await shop.http.delete(f"{system.own.page}{QUEUE}", auth=GUEST)
    assert purged.status_code == 204
    sidecar.start()
    return orders


async def the_app_is_dead(system: RealSystem, shop: Shop) -> list[Order]:
    """Order for half a minute, as four customers, while the notification service is dead."""
    app = system.apps["notification"]
    app.kill_for_good()
    orders = await place(shop, 200, at_once=4, pause=0.6)
    await are_published(system, orders)
    app.start()
    return orders


LATE: dict[str, Case] = {
    case.__name__: case for case in (the_consumer_comes_late, the_broker_is_late)
}
"""Cases that start the system themselves."""
RUNNING: dict[str, Case] = {
    case.__name__: case for case in (the_queue_is_purged, the_app_is_dead)
}
"""Cases that happen to a running system."""


async def place(
    shop: Shop, number: int, *, at_once: int = 4, pause: float = 0.0
) -> list[Order]:
    """Place so many orders, by so many customers at once who rest between two orders."""

    async def one_customer(first: int) -> list[Order]:
        placed = []
        for each in range(first, number, at_once):
            placed.append(await shop.orders(f"Customer {each}"))
            await asyncio.sleep(pause)
        return placed

    found = await asyncio.gather(*(one_customer(first) for first in range(at_once)))
    return [order for placed in found for order in placed]


async def published_raw(shop: Shop, body: bytes) -> None:
    """Publish these bytes and no others, whichever broker it is, as soon as it accepts them."""
    port = shop.system.system.app("order")["daprHTTPPort"]
    url = f"http://127.0.0.1:{port}/v1.0/publish/pubsub/OrderCreated"

    async def accepted() -> bool:
        answer = await shop.http.post(
            url,
            params={"metadata.rawPayload": "true"},
            content=body,
            headers={"content-type": "application/octet-stream"},
        )
        return answer.status_code == 204

    await eventually(accepted, "the broker accepts it")


async def are_published(system: RealSystem, orders: Sequence[Order]) -> None:
    """Wait until the broker has confirmed the event of each order."""
    file = system.system.state / "order.db"
    statement = (
        "SELECT count(*) FROM outbox WHERE state NOT IN ('PUBLISHED', 'PULL_ONLY')"
    )

    async def published() -> bool:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
            return bool(connection.execute(statement).fetchone() == (0,))

    await eventually(published, f"{len(orders)} orders are published", 60)


async def shown(shop: Shop, service: str) -> dict[str, dict[str, Any]]:
    """Return everything that a service lists, by order."""
    url = f"{shop.system.system.invoke_url(service)}/api/{service}"
    found: dict[str, dict[str, Any]] = {}
    cursor: dict[str, str] | None = {}
    while cursor is not None:
        answer = await shop.http.get(url, params={"limit": "200", **cursor})
        page = answer.json() if answer.status_code == 200 and answer.content else {}
        found |= {each["orderId"]: each for each in page.get("items", [])}
        cursor = {"cursor": page["next"]} if page.get("next") else None
    return found


async def are_all_notified(shop: Shop, orders: Sequence[Order]) -> None:
    """Wait until each order shows that its customer was notified; check that each was notified once."""

    async def all_sent() -> bool:
        there = await shown(shop, "order")
        states = [there.get(order.id, {}).get("notification", {}) for order in orders]
        return all(state.get("state") == "SENT" for state in states)

    await eventually(all_sent, f"{len(orders)} orders show that they are SENT", 60)
    assert set(lines(shop, orders).values()) == {1}
    rows = await shown(shop, "notification")
    assert {rows[order.id]["state"] for order in orders} == {"SENT"}


def lines(shop: Shop, orders: Sequence[Order]) -> Counter[str]:
    """Count the lines that were printed about each order."""
    printed = shop.system.apps["notification"].said()
    return Counter({order.id: printed.count(order.id) for order in orders})


async def count_losses(case: str) -> str:
    """Run a case without the pull; return what was lost."""
    with tempfile.TemporaryDirectory() as folder:
        system = build(Path(folder), pulls=False)
        try:
            async with open_shop(system) as shop:
                if case in RUNNING:
                    await asyncio.to_thread(system.start_broker)
                    system.start_sidecars()
                    system.start_apps()
                    await system.is_ready()
                orders = await (LATE | RUNNING)[case](system, shop)
                await system.is_ready()
                await Customer(shop).is_notified(await shop.orders("Last"))
                await asyncio.sleep(STRAGGLERS)
                printed = lines(shop, orders)
        finally:
            await asyncio.to_thread(system.stop)
    lost = sum(not count for count in printed.values())
    return f"{case}: {lost} of {len(orders)} lost, {sum(printed.values())} lines"


if __name__ == "__main__":
    for name in sys.argv[2:] or LATE | RUNNING:
        for _ in range(int(sys.argv[1])):
            sys.stdout.write(f"{asyncio.run(count_losses(name))}\n")
            sys.stdout.flush()
