"""Both services' keys are renewed under load, on two replicas of each, and nobody notices."""

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from chassis.keys import REREAD, main
from chassis.signature import SigningKeys
from tests.support.eventually import eventually
from tests.support.losses import open_shop, shown
from tests.support.shop import Shop
from tests.support.system import RealSystem, build, started
from toolchain.machine import this_machine
from toolchain.servers import companions

pytestmark = pytest.mark.system
CUSTOMERS = 4
FILES = ("order.keys", "notification.keys")


async def keep_ordering(shop: Shop, done: asyncio.Event) -> list[str]:
    """Order one after the other until it is done; return the orders' ids."""
    placed: list[str] = []
    while not done.is_set():
        placed.append((await shop.orders("Ada Lovelace")).id)
        with suppress(TimeoutError):
            await asyncio.wait_for(done.wait(), 0.05)
    return placed


async def renew(folder: Path) -> None:
    """Renew the keys of both services, from HMAC to Ed25519."""
    for name in FILES:
        assert main(["add", str(folder / name), "--ed25519"]) == 0
    # The time is the guarantee: whoever looks at a file after it looks at it anew, and nobody need look before.
    await asyncio.sleep(2 * REREAD)
    for name in FILES:
        *_, new = SigningKeys.parse((folder / name).read_text()).keys
        assert main(["use", str(folder / name), new]) == 0


async def dead_letters(shop: Shop) -> list[str]:
    """Return the reasons of all dead letters."""
    urls = [shop.system.system.invoke_url(name) for name in ("order", "notification")]
    answers = [await shop.http.get(f"{url}/api/dead-letter") for url in urls]
    return [each["reason"] for answer in answers for each in answer.json()["items"]]


async def are_all_sent(shop: Shop, placed: list[str]) -> None:
    """Wait until each order shows that its customer was notified."""

    async def all_sent() -> bool:
        orders = await shown(shop, "order")
        states = {orders[each]["notification"]["state"] for each in placed}
        return states == {"SENT"}

    await eventually(all_sent, "every order is sent, and shows it")


def logged(system: RealSystem, what: str) -> list[str]:
    """Return the lines of the services' logs that say this."""
    said = "\n".join(app.said() for app in system.apps.values())
    return [line for line in said.splitlines() if what in line]


async def test_keys_are_renewed_under_load_and_no_order_is_lost(tmp_path: Path) -> None:
    real = build(tmp_path, database="postgresql", replicas=2)
    with companions.database(this_machine(), real.system):
        async with started(real), open_shop(real) as shop:
            done = asyncio.Event()
            customers = [
                asyncio.create_task(keep_ordering(shop, done)) for _ in range(CUSTOMERS)
            ]

            await renew(tmp_path / "secrets")
            done.set()
            placed = [each for one in await asyncio.gather(*customers) for each in one]

            assert len(placed) > 10 * CUSTOMERS
            await are_all_sent(shop, placed)
            assert await dead_letters(shop) == []
            assert logged(real, "authentic") == []
            assert logged(real, "was read again")
