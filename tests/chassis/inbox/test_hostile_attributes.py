"""Each attribute of an event with each value that it cannot have: nothing crashes, blocks or overwrites."""

import json
from collections.abc import AsyncIterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from chassis.cloud_event import Keys
from chassis.inbox.dead_letter import SAMPLE, dead_letter
from chassis.inbox.parse import NotAuthentic, authenticate, check_age
from chassis.inbox.reaction import inbox
from services.notification.model import Notification
from tests.support.database import KEYS
from tests.support.delivering import (
    DEAD,
    DELIVERED,
    deliver,
    order_created,
    received,
    rows,
    signed,
)
from tests.support.pulls import Pull, pulling
from tests.support.services import Service
from tests.support.simulated_dapr import SimulatedDapr

VALUES: dict[str, Any] = {
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
    """Return an event of each kind, each with an id and an order of its own, and signed where it can be."""
    whole = {
        f"{name}: {value}": order_created(**{name: VALUES[value]})
        for name, value in product(ATTRIBUTES, VALUES)
    }
    for name, value in product(FIELDS, VALUES):
        made = order_created()
        data = {**made["data"], name: VALUES[value]}
        whole[f"data.{name}: {value}"] = signed({**made, "data": data})
    for name in ATTRIBUTES:
        made = order_created()
        made.pop(name, None)
        whole[f"no {name}"] = made if name == "signature" else signed(made)
    return whole


def is_authentic(event: dict[str, Any], keys: Keys, *, pushed: bool) -> bool:
    """Return whether an event is signed, and pushed early enough."""
    try:
        envelope = authenticate(received(event), keys)
        if pushed:
            check_age(envelope)
    except NotAuthentic:
        return False
    return True


async def notified(service: Service) -> dict[str, tuple[Any, ...]]:
    """Return what each notification says and to whom, by the event that caused it."""
    of_it = (Notification.order_id, Notification.customer_name, Notification.channel)
    found = await rows(service, Notification.caused_by, Notification.id, *of_it)
    return {row.caused_by: tuple(row) for row in found}


@pytest.mark.parametrize("route", [DELIVERED, DEAD])
async def test_each_is_handled_or_a_dead_letter_and_touches_no_other(
    notification: Service, route: str
) -> None:
    genuine, cases = order_created(), hostile()
    # What comes from the dead-letter topic is told apart by its type: of another one, nobody takes it.
    authentic = sum(
        is_authentic(each, notification.parts.keys, pushed=True)
        and (route == DELIVERED or each["type"] == "OrderCreated")
        for each in cases.values()
    )
    await deliver(notification, genuine, route)
    before = await notified(notification)

    statuses = {
        name: await deliver(notification, each, route) for name, each in cases.items()
    }

    assert {name for name, status in statuses.items() if status != "SUCCESS"} == set()
    after = await notified(notification)
    assert after[genuine["id"]] == before[genuine["id"]]
    letters = await rows(notification, dead_letter.c.authentic)
    handled = len(after) - 1
    assert sum(each.authentic for each in letters) == authentic - handled
    samples = sum(not each.authentic for each in letters)
    assert SAMPLE <= samples <= len(cases) - authentic
    assert len(await rows(notification, inbox.c.event_id)) == authentic + 1
    assert 0 < handled < authentic < len(cases)
    assert await deliver(notification, order_created(), route) == "SUCCESS"
    assert len(await notified(notification)) == len(after) + 1


@pytest.fixture
async def pull(
    each_database: None, tmp_path: Path, dapr: SimulatedDapr
) -> AsyncIterator[Pull]:
    """Create a feed, and its consumer."""
    async with pulling(tmp_path, dapr) as made:
        yield made


async def test_in_a_feed_each_authentic_one_is_handled_or_a_dead_letter_and_holds_up_nothing(
    pull: Pull,
) -> None:
    (first,) = await pull.feed.says_orders(1)
    cases = [
        each
        for each in hostile().values()
        if is_authentic(each, KEYS, pushed=False) and each["source"] == "/order"
    ]
    for each in cases:
        await pull.feed.says_raw(json.dumps(each))
    (last,) = await pull.feed.says_orders(1)

    await pull.catches_up()

    handled, dead = await pull.taken(), await pull.dead()
    assert {first, last} <= set(handled)
    assert len(handled) - 2 + len(dead) == len(cases)
    assert await pull.cursor() == (await pull.feed.page())["highWaterMark"]


@pytest.mark.parametrize("route", [DELIVERED, DEAD])
async def test_another_content_under_the_same_id_overwrites_nothing(
    notification: Service, route: str
) -> None:
    genuine = order_created()
    await deliver(notification, genuine, route)
    before = await notified(notification)
    others = [
        {**genuine, "data": {**genuine["data"], "customerName": "Mallory"}},
        {**genuine, "data": order_created()["data"]},
        {**genuine, "time": "2026-01-01T00:00:00Z"},
        {**genuine, "aggregateversion": 7},
        {**genuine, "source": "/elsewhere"},
        {**genuine, "type": "OrderShipped"},
        {**genuine, "data": {}},
    ]

    for each in (*others, *map(signed, others)):
        assert await deliver(notification, each, route) == "SUCCESS"

    assert await notified(notification) == before
    assert await rows(notification, inbox.c.event_id) == [(genuine["id"],)]
