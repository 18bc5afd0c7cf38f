"""A notification service that has lost its database: it logs that, is rebuilt, and nobody is notified twice."""

import asyncio
import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.eventually import eventually
from tests.support.losses import are_all_notified, lines, open_shop, place, shown
from tests.support.shop import Customer
from tests.support.system import RealSystem, started
from toolchain.runfile import ROOT

pytestmark = pytest.mark.system


def lose_the_database(system: RealSystem) -> None:
    """Take away what the notification service had kept."""
    for file in system.system.state.glob("notification.db*"):
        file.unlink()


async def acknowledges(system: RealSystem) -> None:
    """Wait until every order is acknowledged at the order service."""
    file = system.system.state / "order.db"

    async def has() -> bool:
        return await asyncio.to_thread(_beyond, file) == 0

    await eventually(has, "the consumer has acknowledged everything")


def _beyond(file: Path) -> int:
    beyond = (
        "SELECT count(*) FROM outbox WHERE position > coalesce("
        "(SELECT max(position) FROM consumer WHERE topic = 'OrderCreated'), -1)"
    )
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
        return int(connection.execute(beyond).fetchone()[0])


async def rebuild(system: RealSystem) -> str:
    """Run the command with the service's own environment; return what it prints."""
    command = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.notification.rebuild"),
        cwd=ROOT,
        env=system.apps["notification"].environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await command.communicate()
    assert command.returncode == os.EX_OK, output
    return output.decode()


async def test_a_service_that_lost_its_database_notifies_nobody_again(
    new: RealSystem,
) -> None:
    app = new.apps["notification"]
    async with started(new), open_shop(new) as shop:
        orders = await place(shop, 10)
        await are_all_notified(shop, orders)
        await acknowledges(new)

        await asyncio.to_thread(app.stop)
        lose_the_database(new)
        app.start()

        async def logs_it() -> bool:
            return "RebuildNeeded" in app.said()

        await eventually(logs_it, "the service logs that it must be rebuilt")
        await asyncio.to_thread(app.stop)
        assert "10 notifications, 10 of them known as sent" in await rebuild(new)
        app.start()
        later = await shop.orders("Later")
        await Customer(shop).is_notified(later)

        assert set(lines(shop, orders).values()) == {1}
        rows = await shown(shop, "notification")
        assert {rows[order.id]["state"] for order in orders} == {"SENT"}
