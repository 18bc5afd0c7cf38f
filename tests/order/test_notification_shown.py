"""The way back: an order shows what became of its notification, by what was said of it last."""

import json
from pathlib import Path
from shutil import copy
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import delete, select, update

from chassis.cloud_event import Cause, envelop
from chassis.database.unit_of_work import Database
from chassis.event import Event
from chassis.feed.consumers import feed_reader
from chassis.inbox.dead_letter import dead_letter
from chassis.inbox.inbox import AnyReaction, inbox, take_in
from chassis.reconciler.cursor import feed_cursor
from contracts.notification_failed import NotificationFailed
from contracts.notification_released import NotificationReleased
from contracts.notification_sent import NotificationSent
from services.order.model import Order
from services.order.reactions import (
    show_notification_on_notification_failed,
    show_notification_on_notification_released,
    show_notification_on_notification_sent,
)
from tests.support.database import url_in
from tests.support.eventually import eventually
from tests.support.services import Service, order_service
from tests.support.simulated_dapr import SimulatedDapr

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
AT, LATER = "2026-01-31T08:15:30.123Z", "2026-01-31T08:16:00.000Z"
WAITING = {"state": "WAITING", "channel": None, "at": None, "reason": None}
SENT = {"state": "SENT", "channel": "email", "at": LATER, "reason": None}
FAILED = {"state": "FAILED", "channel": "email", "at": AT, "reason": "550 no such user"}

REACTIONS: dict[type[Event], AnyReaction] = {
    NotificationSent: show_notification_on_notification_sent.reaction,
    NotificationFailed: show_notification_on_notification_failed.reaction,
    NotificationReleased: show_notification_on_notification_released.reaction,
}


def sent(order_id: UUID) -> Event:
    """Say that the customer was told."""
    data = {"orderId": order_id, "channel": "email", "sentAt": LATER}
    return NotificationSent.model_validate(data)


def failed(order_id: UUID, outcome: str = "FAILED") -> Event:
    """Say that the customer was not told, or that nobody knows."""
    about = {"orderId": order_id, "channel": "email", "failedAt": AT}
    return NotificationFailed.model_validate(
        {**about, "outcome": outcome, "reason": FAILED["reason"]}
    )


def released(order_id: UUID) -> Event:
    """Say that the customer is still to be told."""
    about = {"orderId": order_id, "channel": "email", "releasedAt": LATER}
    return NotificationReleased.model_validate(about)


async def hears(order: Service, event: Event, version: int) -> None:
    """Let the order service hear an event twice, as it may."""
    order_id = UUID(event.data()["orderId"])
    envelope = envelop(
        event,
        service="notification",
        subject=order_id,
        cause=Cause(TRACE),
    ).model_dump(mode="json")
    body = json.dumps({**envelope, "aggregateversion": version}).encode()
    for _ in range(2):
        await take_in(order.database, REACTIONS[type(event)], body)


async def place(order: Service) -> UUID:
    """Place an order."""
    answer = await order.http.post("/api/order", json={"customerName": "Jane"})
    return UUID(answer.json()["orderId"])


async def shown(order: Service, order_id: UUID) -> dict[str, Any]:
    """Give what the order shows of its notification; the list shows the same."""
    one = (await order.http.get(f"/api/order/{order_id}")).json()
    listed = (await order.http.get("/api/order")).json()["items"]
    again = (await order.http.get(f"/api/order/{order_id}")).json()
    # Something may be heard between the first and the last of them.
    assert one in listed or again in listed
    return dict(one["notification"])


async def dead(order: Service) -> list[Any]:
    """Give the dead letters."""
    async with order.database.read() as session:
        return list((await session.execute(select(dead_letter))).all())


async def test_an_order_waits_until_something_is_heard_and_then_shows_it(
    order: Service,
) -> None:
    order_id, other = await place(order), await place(order)
    assert await shown(order, order_id) == WAITING

    await hears(order, sent(order_id), 1)

    assert await shown(order, order_id) == SENT
    assert await shown(order, other) == WAITING
    assert await dead(order) == []


@pytest.mark.parametrize("outcome", ["FAILED", "UNKNOWN", "HELD"])
async def test_an_order_shows_why_its_customer_was_not_told(
    order: Service, outcome: str
) -> None:
    order_id = await place(order)

    await hears(order, failed(order_id, outcome), 1)

    assert await shown(order, order_id) == {**FAILED, "state": outcome}


async def test_what_is_sent_after_it_failed_supersedes(order: Service) -> None:
    order_id = await place(order)

    await hears(order, failed(order_id), 1)
    await hears(order, sent(order_id), 2)

    assert await shown(order, order_id) == SENT


async def test_what_fails_after_it_was_sent_is_shown_too(order: Service) -> None:
    order_id = await place(order)

    await hears(order, sent(order_id), 1)
    await hears(order, failed(order_id), 2)

    assert await shown(order, order_id) == FAILED


@pytest.mark.parametrize("version", [1, 2])
async def test_what_comes_late_changes_nothing(order: Service, version: int) -> None:
    """The two kinds of events come by feeds of their own, in any order."""
    order_id = await place(order)
    await hears(order, sent(order_id), 2)

    await hears(order, failed(order_id), version)

    assert await shown(order, order_id) == SENT
    assert await dead(order) == []


@pytest.mark.parametrize("say", [sent, failed])
async def test_what_is_about_no_order_is_one_dead_letter(
    order: Service,
    say: Any,  # noqa: ANN401 - either of two functions
) -> None:
    unknown = uuid4()

    await hears(order, say(unknown), 1)

    (letter,) = await dead(order)
    assert str(unknown) in letter.reason
    assert letter.event_id


async def test_a_version_beyond_what_a_database_counts_is_a_dead_letter(
    order: Service,
) -> None:
    order_id = await place(order)

    await hears(order, sent(order_id), 2**31)
    await hears(order, sent(order_id), 2**70)

    assert await shown(order, order_id) == WAITING
    assert len(await dead(order)) >= 2


async def test_an_order_that_was_pushed_becomes_sent_by_the_feed(
    order: Service, notification: Service, dapr: SimulatedDapr
) -> None:
    order_id = await place(order)

    async def published() -> bool:
        return bool(dapr.queue)

    await eventually(published, "the order's event is published")
    assert await dapr.deliver_to(notification.app) == ["SUCCESS"]

    await becomes_sent(order, order_id)


async def test_an_order_whose_event_the_broker_lost_becomes_sent_by_both_feeds(
    order: Service,
    notification: Service,
    dapr: SimulatedDapr,
    capfd: pytest.CaptureFixture[str],
) -> None:
    dapr.available = False
    order_id = await place(order)

    await becomes_sent(order, order_id)

    assert dapr.published == []
    assert capfd.readouterr().out.count(str(order_id)) == 1


async def test_a_wiped_database_is_noticed_and_later_orders_show_what_became_of_them(
    tmp_path: Path,
    notification: Service,
    dapr: SimulatedDapr,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with order_service(tmp_path, dapr) as order:
        await becomes_sent(order, await place(order))
        await acknowledged(notification)
    another = tmp_path / "another"
    another.mkdir()
    copy(tmp_path / "feed.secret", another)

    async with order_service(another, dapr) as order:
        await becomes_sent(order, await place(order))

    assert "The feed is read again from there." in caplog.text


async def test_a_restored_database_hears_again_what_it_has_lost(
    tmp_path: Path, notification: Service, dapr: SimulatedDapr
) -> None:
    async with order_service(tmp_path, dapr) as order:
        order_id = await place(order)
        await becomes_sent(order, order_id)
        await acknowledged(notification)
    await goes_back(tmp_path)

    async with order_service(tmp_path, dapr) as order:
        await becomes_sent(order, order_id)
        assert await dead(order) == []


async def acknowledged(notification: Service) -> None:
    """Wait until a reader of its feed has asked after what it took in."""

    async def has_come_far() -> bool:
        async with notification.database.read() as session:
            places = await session.scalars(select(feed_reader.c.position))
        return any(place > 0 for place in places)

    await eventually(has_come_far, "what was sent is acknowledged")


async def goes_back(folder: Path) -> None:
    """Let the order service's database be as it was before anything was heard."""
    database = Database(url_in(folder, "order"), "order")
    before = {"notification_state": "WAITING", "notification_version": 0}
    async with database.write() as session:
        await session.execute(delete(feed_cursor))
        await session.execute(delete(inbox))
        await session.execute(update(Order).values(before))
    await database.close()


async def becomes_sent(order: Service, order_id: UUID) -> None:
    """Wait until an order shows that its customer was told."""

    async def is_sent() -> bool:
        return bool((await shown(order, order_id))["state"] == "SENT")

    await eventually(is_sent, "the order shows that its customer was told")
    told = await shown(order, order_id)
    assert (told["channel"], told["reason"]) == ("console", None)
    assert told["at"].endswith("Z")
