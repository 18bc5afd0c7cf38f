"""A message at which the pinned daprd dies, again and again, until the queue is purged.

Fixed in daprd 1.18.3 (an attribute `traceid` that is no string); none of our services sends such an event.
"""

import asyncio

import pytest

from tests.support.eventually import eventually
from tests.support.losses import GUEST, QUEUE, place, published_raw
from tests.support.shop import Customer, Shop
from tests.support.system import RealSystem
from tests.support.variants import ONE

pytestmark = pytest.mark.system

POISON = b'{"traceid": 7}'
CONSUMERS = "/api/consumers/%2F"


@ONE
async def test_a_message_that_kills_the_sidecar_costs_no_order_and_a_purge_ends_it(
    system: RealSystem, shop: Shop, customer: Customer
) -> None:
    sidecar = system.sidecars["notification"]
    seen = sidecar.pids()
    await published_raw(shop, POISON)

    async def has_died_twice() -> bool:
        seen.update(sidecar.pids())
        return len(seen) >= 3

    await eventually(has_died_twice, "the sidecar dies of it, and dies again", 120)
    assert "panic: interface conversion" in sidecar.said()
    orders = await place(shop, 5)
    await asyncio.to_thread(sidecar.stop)

    async def purged() -> bool:
        # What the stopped sidecar held is in its queue again when its consumer is gone: a purge before spares it.
        there = await shop.http.get(f"{system.own.page}{CONSUMERS}", auth=GUEST)
        if any(each["queue"]["name"] in QUEUE for each in there.json()):
            return False
        answer = await shop.http.delete(f"{system.own.page}{QUEUE}", auth=GUEST)
        return answer.status_code == 204

    await eventually(purged, "the queue is purged")
    sidecar.start()

    for order in orders:
        await customer.is_notified(order)
        assert len(await customer.has_read(order)) == 1
    await system.is_ready()
