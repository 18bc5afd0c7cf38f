"""The parts may be started in any order, however long apart, whichever the broker is."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.eventually import answers, eventually
from tests.support.losses import are_published, open_shop
from tests.support.shop import Customer
from tests.support.system import RealSystem, build
from toolchain.run import BROKERS

pytestmark = pytest.mark.system


@pytest.fixture(params=BROKERS)
async def parts(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[RealSystem]:
    """Make a system of which nothing runs yet; what a test starts is stopped."""
    real = build(tmp_path, broker=request.param)
    yield real
    await asyncio.to_thread(real.stop)


async def an_order_is_notified(parts: RealSystem) -> None:
    """Place an order, and see its customer notified."""
    await parts.is_ready()
    async with open_shop(parts) as shop:
        await Customer(shop).is_notified(await shop.orders("Jane Doe"))


async def test_services_first_then_sidecars_and_the_broker_last(
    parts: RealSystem,
) -> None:
    parts.start_apps()
    healthy = f"http://127.0.0.1:{parts.system.app('order')['appPort']}/healthz"
    async with open_shop(parts) as shop:
        await eventually(lambda: answers(shop.http, healthy), "it serves")
        parts.start_sidecars()
        await shop.orders("Early Bird")

    await asyncio.to_thread(parts.start_broker)

    await an_order_is_notified(parts)


async def test_the_broker_first_then_sidecars_and_services_last(
    parts: RealSystem,
) -> None:
    await asyncio.to_thread(parts.start_broker)
    keep_busy(parts.system.state / "names.db", 3.0)
    parts.start_sidecars()

    async def waits() -> bool:
        return (
            "block until the app is listening" in parts.sidecars["notification"].said()
        )

    await eventually(waits, "the sidecar waits for its service")
    parts.start_apps()

    await an_order_is_notified(parts)


@pytest.mark.parametrize("parts", ["redis", "kafka"], indirect=True)
async def test_a_service_that_starts_for_the_first_time_gets_orders_from_before_a_kill(
    parts: RealSystem,
) -> None:
    """The broker alone has the event, and is killed. (RabbitMQ would not have kept it: no queue yet.)"""
    await asyncio.to_thread(parts.start_broker)
    parts.sidecars["order"].start()
    parts.apps["order"].start()
    async with open_shop(parts) as shop:
        early = await shop.orders("Early Bird")
        await are_published(parts, [early])
        await asyncio.to_thread(parts.kill_broker)
        await asyncio.to_thread(parts.start_broker)

        parts.sidecars["notification"].start()
        parts.apps["notification"].start()

        await Customer(shop).is_notified(early)


def keep_busy(file: Path, seconds: float) -> None:
    """Keep others from writing to this database for a while, as a slow disk does."""
    connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("BEGIN EXCLUSIVE")
    threading.Timer(seconds, connection.close).start()
