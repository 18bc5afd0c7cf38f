"""The drill of docs/databases.md: a database is lost, and its backup restored by the commands of that page."""

import asyncio
import logging
import os
import re
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import func, select

from chassis.feed.consumers import consumer
from chassis.outbox.outbox import outbox
from services.notification.reactions.notify_customer_on_order_created import reaction
from tests.support.eventually import eventually
from tests.support.losses import are_all_notified, lines, open_shop, place
from tests.support.services import Service, notification_service, order_service
from tests.support.shop import Customer
from tests.support.simulated_dapr import SimulatedDapr
from tests.support.system import RealSystem, build, started
from toolchain.machine import this_machine
from toolchain.runfile import ROOT
from toolchain.servers import companions

PAGE = (ROOT / "docs" / "databases.md").read_text()
_log = logging.getLogger(__name__)
BLOCKS = re.findall(r"^ *```\n(.+?)^ *```$", PAGE, re.M | re.S)
SHELL = {"PATH": os.defpath}


def on_page(said: str) -> str:
    """Return the one block of the page that says this."""
    (block,) = (each for each in BLOCKS if said in each)
    return str(block)


async def typed(block: str, folder: Path, environment: Mapping[str, str]) -> str:
    """Type a block of the page in a service's environment; return what it prints."""
    ran = await asyncio.to_thread(
        subprocess.run,
        ["sh", "-ec", block.replace(".local/", f"{folder}/")],
        cwd=ROOT,
        env=dict(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout
    _log.warning("$ %s\n%s", block.strip(), ran.stdout.strip())
    return str(ran.stdout)


@pytest.fixture
async def own_system(tmp_path: Path) -> AsyncIterator[RealSystem]:
    """Run the whole system on PostgreSQL."""
    real = build(tmp_path, database="postgresql")
    with companions.database(this_machine(), real.system):
        async with started(real):
            yield real


@pytest.mark.system
async def test_a_notification_service_with_an_older_database_loses_nothing_and_repeats_nothing(
    own_system: RealSystem,
) -> None:
    app, state = own_system.apps["notification"], own_system.system.state
    backup, restore = on_page("pg_dump"), on_page("pg_restore")
    async with open_shop(own_system) as shop:
        known = await place(shop, 4)
        await are_all_notified(shop, known)
        await typed(backup, state, app.environment)
        since = await place(shop, 4)
        await are_all_notified(shop, since)

        await asyncio.to_thread(app.stop)
        meanwhile = await place(shop, 3)
        await typed(restore, state, app.environment)
        rebuilt = await typed(on_page("notification.rebuild"), state, app.environment)
        assert "11 notifications, 8 of them known as sent, and 3 held" in rebuilt
        app.start()
        await own_system.is_ready()
        released = await typed(on_page("--all-held"), state, app.environment)
        assert "3 released, 0 refused" in released

        later = await shop.orders("Later")
        await Customer(shop).is_notified(later)
        for each in meanwhile:
            await Customer(shop).sees(each, "SENT")
        printed = lines(shop, [*known, *since, later])
        assert set(printed.values()) == {1}
        said = app.said() + released
        assert [said.count(each.id) for each in meanwhile] == [1, 1, 1]


async def test_an_order_service_with_an_older_database_names_each_order_that_it_lost(
    tmp_path: Path,
    dapr: SimulatedDapr,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    async with notification_service(tmp_path, dapr) as notification:
        async with order_service(tmp_path, dapr) as order:
            known = await placed(order, 2)
            await typed(of_orders("VACUUM INTO"), tmp_path, SHELL)
            lost = await placed(order, 2)
            await are_notified(order, [*known, *lost])
            await acknowledge_everything(order, notification)
        await typed(of_orders("cp "), tmp_path, SHELL)

        async with order_service(tmp_path, dapr) as order:
            later = await placed(order, 1)
            await are_notified(order, [*known, *later])
            await are_reported(order, lost)
            for each in lost:
                kept = await notification.http.get(f"/api/notification/{each}")
                assert kept.json()["state"] == "SENT"
    assert f"reconciler {reaction.name}: the feed of order is read again" in caplog.text
    assert "The feed is read again from there." in caplog.text
    printed = capfd.readouterr().out
    said = [f"Notification for Order {each}" for each in (*known, *lost, *later)]
    assert {printed.count(each) for each in said} == {1}


def of_orders(said: str) -> str:
    """Return a block of the page as the page says that it is written for the order service."""
    return on_page(said).replace("notification", "order")


async def placed(order: Service, number: int) -> Sequence[UUID]:
    """Place so many orders."""
    url, body = "/api/order", {"customerName": "Jane"}
    answers = [await order.http.post(url, json=body) for _ in range(number)]
    return [UUID(answer.json()["orderId"]) for answer in answers]


async def are_notified(order: Service, orders: Sequence[UUID]) -> None:
    """Wait until each order shows that its customer was notified."""

    async def all_sent() -> bool:
        urls = [f"/api/order/{each}" for each in orders]
        shown = [(await order.http.get(url)).json() for url in urls]
        return all(each["notification"]["state"] == "SENT" for each in shown)

    await eventually(all_sent, "the orders show that their customers were notified")


async def acknowledge_everything(*services: Service) -> None:
    """Wait until every consumer of these services has acknowledged all that they published."""
    newest = select(func.max(outbox.c.position)).scalar_subquery()
    behind = select(func.count()).where(consumer.c.position < newest)
    for each in services:

        async def has(each: Service = each) -> bool:
            return await each.database.read(lambda session: session.scalar(behind)) == 0

        await eventually(has, "everything is acknowledged")


async def are_reported(order: Service, lost: Sequence[UUID]) -> None:
    """Wait until a dead letter names each lost order, and no other; the page of operations counts them."""

    async def reasons() -> list[str] | None:
        answer = await order.http.get("/api/dead-letter", params={"state": "OPEN"})
        found = [str(each["reason"]) for each in answer.json()["items"]]
        return found if len(found) == len(lost) else None

    said = await eventually(reasons, f"there are {len(lost)} dead letters")
    for each in lost:
        assert (await order.http.get(f"/api/order/{each}")).status_code == 404
        assert sum(str(each) in reason for reason in said) == 1
    operations = (await order.http.get("/api/operations")).json()
    assert "2 dead letters wait for somebody" in str(operations["problems"])
