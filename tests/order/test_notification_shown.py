"""The way back: an order shows its notification as the newest event about it says."""

from pathlib import Path
from shutil import copy
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from chassis.cloud_event import Cause, create_cloud_event
from chassis.database import Database
from chassis.event import Event
from chassis.feed.consumers import consumer
from chassis.inbox import AnyReaction, Arrival, Inbox
from chassis.inbox.dead_letter import dead_letter
from chassis.inbox.parse import Received
from chassis.inbox.reaction import inbox
from chassis.reconciler.cursor import feed_cursor
from chassis.signature import SigningKeys
from contracts.notification_failed import NotificationFailed
from contracts.notification_released import NotificationReleased
from contracts.notification_sent import NotificationSent
from services.order.model import Order, OrderUnknown
from services.order.reactions import show_notification
from tests.support.database import followed, url_in
from tests.support.delivering import received
from tests.support.eventually import eventually
from tests.support.services import Service, order_service
from tests.support.simulated_dapr import SimulatedDapr

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
AT, LATER = "2026-01-31T08:15:30.123Z", "2026-01-31T08:16:00.000Z"
WAITING = {"state": "WAITING", "channel": None, "at": None, "reason": None}
SENT = {"state": "SENT", "channel": "email", "at": LATER, "reason": None}
FAILED = {"state": "FAILED", "channel": "email", "at": AT, "reason": "550 no such user"}

REACTIONS: dict[type[Event], AnyReaction] = {
    NotificationSent: show_notification.on_notification_sent,
    NotificationFailed: show_notification.on_notification_failed,
    NotificationReleased: show_notification.on_notification_released,
}


def sent(order_id: UUID) -> Event:
    """Make the event that the customer was notified."""
    data = {"orderId": order_id, "channel": "email", "sentAt": LATER}
    return NotificationSent.model_validate(data)


def failed(order_id: UUID, outcome: str = "FAILED") -> Event:
    """Make the event that the customer was not notified, or that nobody knows."""
    about = {"orderId": order_id, "channel": "email", "failedAt": AT}
    return NotificationFailed.model_validate(
        {**about, "outcome": outcome, "reason": FAILED["reason"]}
    )


def released(order_id: UUID) -> Event:
    """Make the event that the customer will be notified after all."""
    about = {"orderId": order_id, "channel": "email", "releasedAt": LATER}
    return NotificationReleased.model_validate(about)


async def receives(order: Service, event: Event, version: int) -> None:
    """Deliver an event to the order service twice, as may happen."""
    keys = order.app.state.parts.keys
    arrived = signed(event, version, keys)
    for _ in range(2):
        await Inbox(order.database, keys).handle(REACTIONS[type(event)], arrived)


def signed(event: Event, version: int, keys: SigningKeys) -> Received:
    """Return an event as it arrives."""
    envelope = create_cloud_event(
        event,
        service="notification",
        subject=UUID(event.data()["orderId"]),
        cause=Cause(TRACE),
        keys=keys,
    )
    # Of our own services, none writes a version that no consumer accepts.
    envelope["aggregateversion"] = version
    envelope["signature"] = keys.sign(envelope)
    return received(envelope)


async def place(order: Service) -> UUID:
    """Place an order."""
    answer = await order.http.post("/api/order", json={"customerName": "Jane"})
    return UUID(answer.json()["orderId"])


async def shown(order: Service, order_id: UUID) -> dict[str, Any]:
    """Return what the order shows of its notification; the list shows the same."""
    one = (await order.http.get(f"/api/order/{order_id}")).json()
    listed = (await order.http.get("/api/order")).json()["items"]
    again = (await order.http.get(f"/api/order/{order_id}")).json()
    # An event may arrive between the first and the last of them.
    assert one in listed or again in listed
    return dict(one["notification"])


async def dead(order: Service) -> list[Any]:
    """Return the dead letters."""
    return await order.database.read(
        lambda session: list(session.execute(select(dead_letter)))
    )


async def test_an_order_waits_until_an_event_arrives_and_then_shows_it(
    order: Service,
) -> None:
    order_id, other = await place(order), await place(order)
    assert await shown(order, order_id) == WAITING

    await receives(order, sent(order_id), 1)

    assert await shown(order, order_id) == SENT
    assert await shown(order, other) == WAITING
    assert await dead(order) == []


@pytest.mark.parametrize("outcome", ["FAILED", "UNKNOWN", "HELD"])
async def test_an_order_shows_why_its_customer_was_not_notified(
    order: Service, outcome: str
) -> None:
    order_id = await place(order)

    await receives(order, failed(order_id, outcome), 1)

    assert await shown(order, order_id) == {**FAILED, "state": outcome}


async def test_what_is_sent_after_it_failed_supersedes(order: Service) -> None:
    order_id = await place(order)

    await receives(order, failed(order_id), 1)
    await receives(order, sent(order_id), 2)

    assert await shown(order, order_id) == SENT


async def test_what_fails_after_it_was_sent_is_shown_too(order: Service) -> None:
    order_id = await place(order)

    await receives(order, sent(order_id), 1)
    await receives(order, failed(order_id), 2)

    assert await shown(order, order_id) == FAILED


@pytest.mark.parametrize("version", [1, 2])
async def test_what_comes_late_changes_nothing(order: Service, version: int) -> None:
    """The two kinds of events come by feeds of their own, in any order."""
    order_id = await place(order)
    await receives(order, sent(order_id), 2)

    await receives(order, failed(order_id), version)

    assert await shown(order, order_id) == SENT
    assert await dead(order) == []


async def test_of_many_that_are_shown_at_once_each_order_shows_its_own_newest(
    order: Service,
) -> None:
    keys = order.app.state.parts.keys
    late, *others = [await place(order) for _ in range(5)]
    await receives(order, failed(late), 3)
    events = [signed(sent(each), 2, keys) for each in (late, *others)]
    unknown = signed(sent(uuid4()), 1, keys)
    arrived, reaction = (
        Inbox(order.database, keys),
        show_notification.on_notification_sent,
    )

    with pytest.raises(OrderUnknown):
        await arrived.handle_together(reaction, [*events, unknown], Arrival.PULLED)
    assert await shown(order, others[0]) == WAITING
    await arrived.handle_together(reaction, events, Arrival.PULLED)

    assert [await shown(order, each) for each in others] == [SENT] * 4
    assert await shown(order, late) == FAILED


@pytest.mark.parametrize("make", [sent, failed])
async def test_what_is_about_no_order_is_one_dead_letter(
    order: Service,
    make: Any,  # noqa: ANN401 - either of two functions
) -> None:
    unknown = uuid4()

    await receives(order, make(unknown), 1)

    (letter,) = await dead(order)
    assert str(unknown) in letter.reason
    assert letter.event_id


async def test_a_version_beyond_what_a_database_counts_is_a_dead_letter(
    order: Service,
) -> None:
    order_id = await place(order)

    await receives(order, sent(order_id), 2**31)
    await receives(order, sent(order_id), 2**70)

    assert await shown(order, order_id) == WAITING
    assert {each.reaction for each in await dead(order)} == {
        show_notification.on_notification_sent.name
    }


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
    await followed(notification.database)
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
    for secret in ("feed.secret", "order.keys", "notification.keys"):
        copy(tmp_path / secret, another)

    async with order_service(another, dapr) as order:
        await becomes_sent(order, await place(order))

    assert "The feed is read again from there." in caplog.text


async def test_a_restored_database_receives_again_what_it_has_lost(
    tmp_path: Path, notification: Service, dapr: SimulatedDapr
) -> None:
    async with order_service(tmp_path, dapr) as order:
        order_id = await place(order)
        await becomes_sent(order, order_id)
        await acknowledged(notification)
    await restore_older_backup(tmp_path)

    async with order_service(tmp_path, dapr) as order:
        await becomes_sent(order, order_id)
        assert await dead(order) == []


async def acknowledged(notification: Service) -> None:
    """Wait until the reaction to NotificationSent has acknowledged what it handled."""
    # The reactions to the other topics go past the event as well, each in its own time.
    position = select(consumer.c.position).where(consumer.c.topic == "NotificationSent")

    async def has_acknowledged() -> bool:
        offset = await notification.database.read(
            lambda session: session.scalar(position)
        )
        return (offset or 0) > 0

    await eventually(has_acknowledged, "the event is acknowledged")


async def restore_older_backup(folder: Path) -> None:
    """Restore the order service's database to before it received anything."""
    database = Database(url_in(folder, "order"), "order")
    before = {"notification_state": "WAITING", "notification_version": 0}

    def restore(session: Session) -> None:
        session.execute(delete(feed_cursor))
        session.execute(delete(inbox))
        session.execute(update(Order).values(before))

    await database.write(restore)
    await database.close()


async def becomes_sent(order: Service, order_id: UUID) -> None:
    """Wait until an order shows that its customer was notified."""

    async def is_sent() -> bool:
        return bool((await shown(order, order_id))["state"] == "SENT")

    await eventually(is_sent, "the order shows that its customer was notified")
    notification = await shown(order, order_id)
    assert (notification["channel"], notification["reason"]) == ("console", None)
    assert notification["at"].endswith("Z")
