"""Where an order is, asked of the real system while a part of it is down."""

import asyncio
import os
import sys
import time
from typing import Any

import pytest

from tests.support.eventually import eventually
from tests.support.shop import Customer, Order, Shop
from tests.support.system import RealSystem
from tests.support.variants import ONE
from toolchain.runfile import ROOT

pytestmark = [pytest.mark.system, ONE]


async def journey(shop: Shop, order: Order) -> dict[str, Any]:
    """Ask the order service, through its sidecar, where an order is: it waits four seconds for the other one."""
    url = f"{shop.system.system.invoke_url('order')}/api/order/{order.id}/journey"
    answer = await shop.http.get(url, timeout=30)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def typed(shop: Shop, order_id: str) -> tuple[int | None, str]:
    """Type `make where`; return its exit status, and what it prints."""
    offset = str(shop.system.system.offset)
    command = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "toolchain.where", order_id),
        cwd=ROOT,
        env={**os.environ, "OFFSET": offset},  # noqa: TID251 - it is for a program
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(command.communicate(), 30)
    return command.returncode, output.decode()


async def test_an_order_that_is_done_says_so_with_the_time_of_every_stage(
    shop: Shop, customer: Customer
) -> None:
    order = await shop.orders("Jane Doe")
    await customer.sees(order, "SENT")

    found = await journey(shop, order)
    status, printed = await typed(shop, order.id)

    assert (found["done"], found["next"]) == (True, "nothing")
    times = [stage["at"] for stage in found["stages"]]
    assert all(times)
    assert times[0] <= times[2] <= times[4]
    assert status == 0
    assert "It is done" in printed


@pytest.mark.parametrize("kind", ["apps", "sidecars"])
async def test_an_order_that_waits_for_a_part_that_is_gone_names_it_within_seconds(
    shop: Shop, customer: Customer, system: RealSystem, kind: str
) -> None:
    part = getattr(system, kind)["notification"]
    part.kill_for_good()
    try:
        order = await shop.orders("Jane Doe")
        started = time.monotonic()
        found = await journey(shop, order)
        taken = time.monotonic() - started
        status, printed = await typed(shop, order.id)
    finally:
        part.start()
    await system.is_ready()

    assert taken < 20
    name = "notification app" if kind == "apps" else "notification sidecar"
    assert found["blockedBy"] == name
    assert found["blockedBy"] in found["why"]
    assert (found["done"], status) == (False, 1)
    assert f"{name} does not answer" in printed
    await customer.sees(order, "SENT")


async def test_an_order_that_waits_for_the_broker_is_pulled(
    shop: Shop, customer: Customer, system: RealSystem
) -> None:
    await asyncio.to_thread(system.kill_broker)
    order = await shop.orders("Jane Doe")

    async def done() -> bool:
        return bool((await journey(shop, order))["done"])

    await eventually(done, "the order is done")
    found = await journey(shop, order)
    await asyncio.to_thread(system.start_broker)

    assert found["received"]["arrival"] == "PULLED"
    assert not found["stages"][1]["reached"]
