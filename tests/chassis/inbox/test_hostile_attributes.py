"""Each attribute of an event with each value that it cannot have: nothing crashes, blocks or overwrites."""

import json
from collections.abc import AsyncIterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from chassis.inbox.dead_letter import dead_letter
from chassis.inbox.inbox import inbox
from services.notification.model import Notification
from tests.support.delivering import deliver, order_created, rows
from tests.support.pulls import Pull, pulling
from tests.support.services import Service
from tests.support.simulated_dapr import SimulatedDapr

DELIVERED, DEAD = "/events/OrderCreated", "/events/notification-dead-letter"
VALUES: dict[str, object] = {
    "null": None,
    "7": 7,
    "1.5": 1.5,
    "true": True,
    "[]": [],
    "{}": {},
    "nothing": "",
    "very long": "x" * 60_000,
    "NUL": "a\0b",
    "a lone surrogate": "\ud800",
    "1970": "1970-01-01T00:00:00Z",
    "the last moment": "9999-12-31T23:59:59.999Z",
}
OF_DAPR = {"topic", "pubsubname", "expiration", "datacontentencoding", "x"}
ATTRIBUTES = sorted(order_created().keys() | OF_DAPR)
FIELDS = ("orderId", "customerName", "createdAt", "customerEmail", "x")


def hostile() -> dict[str, dict[str, Any]]:
    """Make an event of each kind, each with an id and an order of its own."""
    whole = {
        f"{name}: {value}": order_created(**{name: VALUES[value]})
        for name, value in product(ATTRIBUTES, VALUES)
    }
    for name, value in product(FIELDS, VALUES):
        made = order_created()
        made["data"] = {**made["data"], name: VALUES[value]}
        whole[f"data.{name}: {value}"] = made
    for name in ATTRIBUTES:
        made = order_created()
        made.pop(name, None)
        whole[f"no {name}"] = made
    return whole


async def notified(service: Service) -> dict[str, tuple[Any, ...]]:
    """Give what each notification says and to whom, by the event that caused it."""
    of_it = (Notification.order_id, Notification.customer_name, Notification.channel)
    found = await rows(service, Notification.caused_by, Notification.id, *of_it)
    return {row.caused_by: tuple(row) for row in found}


@pytest.mark.parametrize("route", [DELIVERED, DEAD])
async def test_each_is_taken_in_or_kept_and_touches_no_other(
    notification: Service, route: str
) -> None:
    genuine, cases = order_created(), hostile()
    await deliver(notification, genuine, route)
    before = await notified(notification)

    told = {
        name: await deliver(notification, each, route) for name, each in cases.items()
    }

    assert {name for name, status in told.items() if status != "SUCCESS"} == set()
    after = await notified(notification)
    assert after[genuine["id"]] == before[genuine["id"]]
    letters = await rows(notification, dead_letter.c.body)
    taken = len(after) - 1
    assert len(letters) == len(cases) - taken
    assert len(await rows(notification, inbox.c.event_id)) == taken + 1
    assert 0 < taken < len(cases)
    assert await deliver(notification, order_created(), route) == "SUCCESS"
    assert len(await notified(notification)) == len(after) + 1


@pytest.fixture
async def pull(
    each_database: None, tmp_path: Path, dapr: SimulatedDapr
) -> AsyncIterator[Pull]:
    """Make a feed, and who pulls from it."""
    async with pulling(tmp_path, dapr) as made:
        yield made


async def test_in_a_feed_each_is_taken_in_or_kept_and_holds_nothing_up(
    pull: Pull,
) -> None:
    (first,) = await pull.feed.says_orders(1)
    cases = hostile().values()
    for each in cases:
        await pull.feed.says_raw(json.dumps(each))
    (last,) = await pull.feed.says_orders(1)

    await pull.catches_up()

    taken, dead = await pull.taken(), await pull.dead()
    assert (taken[0], taken[-1]) == (first, last)
    assert len(taken) - 2 + len(dead) == len(cases)
    assert await pull.cursor() == (await pull.feed.page())["end"]


@pytest.mark.parametrize("route", [DELIVERED, DEAD])
async def test_another_content_under_the_same_id_overwrites_nothing(
    notification: Service, route: str
) -> None:
    genuine = order_created()
    await deliver(notification, genuine, route)
    before = await notified(notification)
    forged = [
        {**genuine, "data": {**genuine["data"], "customerName": "Mallory"}},
        {**genuine, "data": order_created()["data"]},
        {**genuine, "time": "1970-01-01T00:00:00Z"},
        {**genuine, "aggregateversion": 7},
        {**genuine, "source": "/elsewhere"},
        {**genuine, "type": "OrderShipped"},
        {**genuine, "data": {}},
    ]

    told = [await deliver(notification, each, route) for each in forged]

    assert set(told) == {"SUCCESS"}
    assert await notified(notification) == before
    assert await rows(notification, inbox.c.event_id) == [(genuine["id"],)]
