"""An order becomes a notification, on the real parts, whichever of them was killed before."""

import asyncio
import re

import httpx
import pytest
import yaml

from tests.support.shop import Customer, Shop
from tests.support.sockets import listening_at
from tests.support.system import RealSystem
from toolchain.runfile import ROOT

pytestmark = pytest.mark.system


async def test_a_customer_who_orders_is_notified_once(
    shop: Shop, customer: Customer
) -> None:
    order = await shop.orders("Jane Doe")

    text = await customer.is_notified(order)

    line = (
        rf"Notification for Order {order.id}: Dear Jane Doe, "
        r"your order was created at \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\."
    )
    assert re.fullmatch(line, text)
    assert await customer.has_read(order) == [text]


async def test_a_hundred_customers_who_order_at_once_are_notified_once_each(
    shop: Shop, customer: Customer
) -> None:
    orders = await asyncio.gather(
        *(shop.orders(f"Customer {number}") for number in range(100))
    )

    # One after the other: a hundred who ask at once would be a load far above that of their orders.
    texts = [await customer.is_notified(order) for order in orders]

    assert [await customer.has_read(order) for order in orders] == [
        [text] for text in texts
    ]


@pytest.mark.parametrize("kind", ["apps", "sidecars"])
@pytest.mark.parametrize("name", ["order", "notification"])
async def test_a_part_that_is_killed_comes_back_and_the_next_order_is_notified(
    shop: Shop, customer: Customer, system: RealSystem, name: str, kind: str
) -> None:
    await getattr(system, kind)[name].kill()

    order = await shop.orders("Jane Doe")

    await customer.is_notified(order)
    assert len(await customer.has_read(order)) == 1


async def test_a_broker_that_is_killed_comes_back_and_what_was_ordered_meanwhile_is_notified(
    shop: Shop, customer: Customer, system: RealSystem
) -> None:
    await asyncio.to_thread(system.kill_broker)
    meanwhile = await shop.orders("Jane Doe")
    await asyncio.to_thread(system.start_broker)

    afterwards = await shop.orders("John Doe")

    for order in (meanwhile, afterwards):
        await customer.is_notified(order)
        assert len(await customer.has_read(order)) == 1


async def test_daprd_subscribes_as_the_code_and_the_brokers_folder_declare(
    system: RealSystem,
) -> None:
    port = system.system.app("notification")["daprHTTPPort"]
    async with httpx.AsyncClient(trust_env=False) as client:
        metadata = (await client.get(f"http://127.0.0.1:{port}/v1.0/metadata")).json()

    subscribed = {each["topic"]: each for each in metadata["subscriptions"]}
    assert subscribed.keys() == {"OrderCreated", "notification-dead-letter"}
    subscription = subscribed["OrderCreated"]
    assert subscription["type"] == "PROGRAMMATIC"
    assert subscription["rules"] == [{"path": "/events/OrderCreated"}]
    assert subscription["deadLetterTopic"] == "notification-dead-letter"
    tuning = ROOT / "components" / system.system.broker / "subscription.yaml"
    declared = yaml.safe_load(tuning.read_text())["metadata"]
    assert (subscription.get("metadata") or {}) == declared


async def test_nothing_listens_beyond_the_loopback_interface(
    system: RealSystem,
) -> None:
    pids = {
        pid
        for part in [*system.apps.values(), *system.sidecars.values()]
        for pid in part.pids()
    }
    assert system.broker
    pids |= system.broker.pids()

    addresses = {address for pid in pids for address in listening_at(pid)}

    assert addresses <= {"127.0.0.1", "::1"}
    assert len(pids) == 4 + len(system.own.server.commands)
