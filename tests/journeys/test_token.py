"""With a token between each sidecar and its app, everything works, and for the sidecar alone."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.delivering import order_created
from tests.support.losses import open_shop
from tests.support.shop import Customer, Shop
from tests.support.simulated_delivery import bulk
from tests.support.system import RealSystem, build, started

pytestmark = pytest.mark.system

TOKEN = "a-token-for-this-test"
HIDES = {"connection": "dapr-caller-app-id", "content-type": "application/json"}


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[RealSystem]:
    """Run the whole system with a token."""
    real = build(tmp_path)
    for part in [*real.sidecars.values(), *real.apps.values()]:
        part.environment["APP_API_TOKEN"] = TOKEN
    async with started(real):
        yield real


async def reads_no_secret(guarded: RealSystem, shop: Shop) -> None:
    """Ask a sidecar for the passwords that its components read."""
    port = guarded.system.app("order")["daprHTTPPort"]
    for secret, status in (("RABBITMQ_URL", 403), ("bulk", 200)):
        url = f"http://127.0.0.1:{port}/v1.0/secrets/secrets/{secret}"
        answer = await shop.http.get(url)
        assert answer.status_code == status
        assert "guest" not in answer.text


async def forges_no_event(guarded: RealSystem, shop: Shop) -> None:
    """Deliver through the other sidecar, and through its own, with what hides the caller: the token is added."""
    forged = order_created(signature="1.none.none")
    for name in ("order", "notification"):
        port = guarded.system.app(name)["daprHTTPPort"]
        url = f"http://127.0.0.1:{port}/v1.0/invoke/notification/method"
        there, event = f"{url}/events/OrderCreated", json.dumps(forged).encode()
        answer = await shop.http.post(there, content=bulk({"1": event}), headers=HIDES)
        assert answer.status_code == 200, "daprd has mended it: refuse it here too"
        there = f"{url}/api/notification/{forged['subject']}"
        assert (await shop.http.get(there)).status_code == 404


async def test_an_order_goes_all_the_way_with_a_token_and_nobody_else_comes_in(
    guarded: RealSystem,
) -> None:
    async with open_shop(guarded) as shop:
        order = await shop.orders("Jane Doe")
        await Customer(shop).is_notified(order)
        await Customer(shop).sees(order, "SENT")

        for name, path in [
            ("notification", "/events/OrderCreated"),
            ("notification", "/events/notification-dead-letter"),
            ("order", "/dapr/subscribe"),
        ]:
            url = f"http://127.0.0.1:{guarded.system.app(name)['appPort']}{path}"
            for headers in ({}, {"dapr-api-token": "wrong"}):
                answer = await shop.http.post(
                    url, json=order_created(), headers=headers
                )
                assert answer.status_code == 401
        for name, other, path in [
            ("notification", "order", "events/OrderCreated"),
            ("notification", "order", "events/notification-dead-letter"),
            ("order", "notification", "dapr/subscribe"),
        ]:
            port = guarded.system.app(other)["daprHTTPPort"]
            url = f"http://127.0.0.1:{port}/v1.0/invoke/{name}/method/{path}"
            for headers in ({}, {"dapr-api-token": TOKEN}, {"dapr-caller-app-id": ""}):
                answer = await shop.http.post(
                    url, json=order_created(), headers=headers
                )
                assert answer.status_code == 401
                assert answer.json()["type"] == "urn:problem-type:not-the-sidecar"

        await reads_no_secret(guarded, shop)
        await forges_no_event(guarded, shop)

    parts = [*guarded.sidecars.values(), *guarded.apps.values()]
    assert not any(TOKEN in part.said() for part in parts)
