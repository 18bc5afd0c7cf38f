"""A rolling restart under load: each part is stopped in good order and started again, and nobody notices."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress

import pytest

from tests.support.eventually import eventually
from tests.support.losses import are_all_notified, shown
from tests.support.shop import Order, Shop
from tests.support.system import RealSystem

PARTS = [
    ("apps", "notification"),
    ("apps", "order"),
    ("sidecars", "notification"),
    ("sidecars", "order"),
]
CUSTOMERS = 4


async def keep_ordering(shop: Shop, done: asyncio.Event, name: str) -> list[Order]:
    """Order one after the other until it is done; each order is tried until it is accepted."""
    placed: list[Order] = []
    while not done.is_set():
        placed.append(await shop.orders(f"{name} {len(placed)}"))
        with suppress(TimeoutError):
            await asyncio.wait_for(done.wait(), 0.05)
    return placed


async def restart_each(system: RealSystem) -> None:
    """Restart one part after the other, each when the system is whole again."""
    for kind, name in PARTS:
        part = getattr(system, kind)[name]
        await asyncio.to_thread(part.stop)
        part.start()
        await system.is_ready()


async def dead_letters(shop: Shop, orders: Iterable[str]) -> list[str]:
    """Return the reasons of the dead letters of both services that are about one of these orders."""
    urls = [shop.system.system.invoke_url(name) for name in ("order", "notification")]
    answers = [await shop.http.get(f"{url}/api/dead-letter") for url in urls]
    letters = [each for answer in answers for each in answer.json()["items"]]
    return [
        letter["reason"]
        for letter in letters
        if any(order in letter["body"] for order in orders)
    ]


async def are_all_shown(shop: Shop) -> list[str]:
    """Wait until every order is whole, also one whose answer was lost; return their ids."""

    async def all_sent() -> list[str] | None:
        theirs = {
            order_id: each["notification"]["state"]
            for order_id, each in (await shown(shop, "order")).items()
            if each["customerName"].startswith("Roller")
        }
        return list(theirs) if set(theirs.values()) == {"SENT"} else None

    return await eventually(all_sent, "every order shows that it is SENT")


@pytest.mark.system
async def test_a_rolling_restart_under_load_loses_nothing_and_makes_no_dead_letter(
    system: RealSystem, shop: Shop
) -> None:
    done = asyncio.Event()
    customers = [
        asyncio.create_task(keep_ordering(shop, done, f"Roller {each}"))
        for each in range(CUSTOMERS)
    ]

    await restart_each(system)
    done.set()
    placed = [order for each in await asyncio.gather(*customers) for order in each]

    assert len(placed) > len(PARTS) * CUSTOMERS
    await are_all_notified(shop, placed)
    everything = await are_all_shown(shop)
    assert await dead_letters(shop, everything) == []
