"""With a token between each sidecar and its app, everything works, and for the sidecar alone."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.support.delivering import order_created
from tests.support.eventually import eventually
from tests.support.shop import Customer, Shop
from tests.support.system import RealSystem, build

pytestmark = pytest.mark.system

TOKEN = "a-token-for-this-test"


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[RealSystem]:
    """Run the whole system with a token."""
    real = build(tmp_path)
    for part in [*real.sidecars.values(), *real.apps.values()]:
        part.environment["APP_API_TOKEN"] = TOKEN
    try:
        await asyncio.to_thread(real.start_broker)
        real.start_sidecars()
        real.start_apps()
        await real.is_ready()
        yield real
    finally:
        await asyncio.to_thread(real.stop)


async def test_an_order_goes_all_the_way_with_a_token_and_nobody_else_comes_in(
    guarded: RealSystem,
) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        shop = Shop(guarded, client)
        order = await shop.orders("Jane Doe")
        await Customer(shop).is_notified(order)
        await _is_shown(shop, order.id)

        for name, path in [
            ("notification", "/events/OrderCreated"),
            ("notification", "/events/notification-dead-letter"),
            ("order", "/dapr/subscribe"),
        ]:
            url = f"http://127.0.0.1:{guarded.system.app(name)['appPort']}{path}"
            for headers in ({}, {"dapr-api-token": "wrong"}):
                answer = await client.post(url, json=order_created(), headers=headers)
                assert answer.status_code == 401
        for name, other, path in [
            ("notification", "order", "events/OrderCreated"),
            ("notification", "order", "events/notification-dead-letter"),
            ("order", "notification", "dapr/subscribe"),
        ]:
            port = guarded.system.app(other)["daprHTTPPort"]
            url = f"http://127.0.0.1:{port}/v1.0/invoke/{name}/method/{path}"
            for headers in ({}, {"dapr-api-token": TOKEN}, {"dapr-caller-app-id": ""}):
                answer = await client.post(url, json=order_created(), headers=headers)
                assert answer.status_code == 401
                assert answer.json()["type"] == "urn:problem-type:not-the-sidecar"

    parts = [*guarded.sidecars.values(), *guarded.apps.values()]
    assert not any(TOKEN in part.said() for part in parts)


async def _is_shown(shop: Shop, order_id: str) -> None:
    url = f"{shop.system.system.invoke_url('order')}/api/order/{order_id}"

    async def sent() -> bool:
        answer = await shop.http.get(url)
        shown = answer.status_code == 200 and answer.json()["notification"]
        return bool(shown and shown["state"] == "SENT")

    await eventually(sent, "the order shows that its customer was notified")
