"""What a rebuild asks the order service: orders that are older than the retention have no events any more."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.exc import SQLAlchemyError

from chassis.inbox.dead_letter import dead_letter
from chassis.inbox.inbox import take_in
from chassis.outbox.outbox import feed, outbox
from chassis.runtime import clock
from chassis.runtime.clock import Ambient
from services.notification.channels import Console
from services.notification.dispatcher import Dispatcher
from services.notification.model import Channel, Notification, State
from services.notification.reactions.notify_customer_on_order_created import reaction
from services.notification.rebuild import rebuild
from services.notification.recovery import REASON, RECENT, version_now
from services.order.model import Order, show_notification
from tests.notification.rebuilding import (
    events,
    hears,
    is_begun,
    is_told,
    place,
    reconciler,
    shown,
    states,
    wiped,
)
from tests.support.database import break_commits, mend_commits
from tests.support.services import Service
from tests.support.simulated_dapr import SimulatedDapr

pytestmark = pytest.mark.usefixtures("each_database")


async def are_old(order: Service) -> None:
    """Let all orders be older than events are kept."""
    then = clock.now().replace(microsecond=0) - timedelta(days=8)
    async with order.database.write() as session:
        await session.execute(update(Order).values(created_at=then))


@contextmanager
def so_much_later(by: timedelta) -> Iterator[None]:
    """Let the clock be ahead."""
    token = clock.current.set(Ambient(lambda: datetime.now(UTC) + by))
    try:
        yield
    finally:
        clock.current.reset(token)


async def event_is_gone(order: Service, order_id: UUID) -> bytes:
    """Delete the event of an order, as housekeeping does; give it."""
    (event,) = [each for each in await events(order) if str(order_id) in each]
    async with order.database.write() as session:
        await session.execute(delete(outbox).where(outbox.c.event == event))
    return event.encode()


async def test_an_order_whose_event_is_gone_has_its_notification_again(
    order: Service, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    told, untold, there = await place(order, 3)
    await are_old(order)
    await is_told(order, told)
    for each in told, untold:
        await event_is_gone(order, each)

    async with wiped(tmp_path, dapr) as parts:
        await rebuild(parts)

        held = dict.fromkeys((untold, there), State.HELD)
        assert await states(parts) == {told: State.SENT, **held}


async def test_it_has_all_that_the_order_tells(
    order: Service, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    body = {"customerName": "Jane", "customerEmail": "jane@example.org"}
    answer = await order.http.post("/api/order", json=body)
    await are_old(order)
    await event_is_gone(order, UUID(answer.json()["orderId"]))

    async with wiped(tmp_path, dapr) as parts:
        await rebuild(parts)

        async with order.database.read() as session:
            (its,) = (await session.scalars(select(Order))).all()
        async with parts.database.read() as session:
            (row,) = (await session.scalars(select(Notification))).all()
        assert row.order_id == its.id
        assert (row.customer_name, row.customer_email) == ("Jane", "jane@example.org")
        assert row.order_created_at == its.created_at
        assert (row.channel, row.reason) == (Channel.EMAIL, REASON)


async def test_its_event_that_comes_after_all_is_a_dead_letter_and_tells_nobody(
    order: Service, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    (order_id,) = await place(order, 1)
    await are_old(order)
    event = await event_is_gone(order, order_id)

    async with wiped(tmp_path, dapr) as parts:
        await rebuild(parts)
        await take_in(parts.database, reaction, event)
        await Dispatcher(parts.database, Channel.CONSOLE, Console()).step()

        assert await states(parts) == {order_id: State.HELD}
        async with parts.database.read() as session:
            (letter,) = await session.scalars(select(dead_letter.c.body))
        assert letter == event


async def test_an_order_whose_event_is_still_to_come_is_left_to_the_service(
    order: Service, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    (before,) = await place(order, 1)
    async with wiped(tmp_path, dapr) as parts:
        await is_begun(parts)
        (after,) = await place(order, 1)
        with so_much_later(2 * RECENT):
            await rebuild(parts)
        await reconciler(parts).step()

        assert await states(parts) == {before: State.HELD, after: State.READY}


async def test_a_recent_order_whose_event_is_not_to_be_seen_yet_is_left_to_the_service(
    order: Service, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    before, committing = await place(order, 2)
    event = await event_is_gone(order, committing)

    async with wiped(tmp_path, dapr) as parts:
        await rebuild(parts)
        await take_in(parts.database, reaction, event)

        assert await states(parts) == {before: State.HELD, committing: State.READY}


async def test_an_order_shows_that_its_notification_is_held(
    order: Service, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    held, told = await place(order, 2)
    await is_told(order, told)

    async with wiped(tmp_path, dapr) as parts:
        await rebuild(parts)
        await hears(order, parts)

        assert len(await events(parts)) == 1
    assert (await shown(order, held))["state"] == "HELD"
    assert (await shown(order, held))["reason"] == REASON
    assert (await shown(order, told))["state"] == "SENT"


async def test_it_shows_that_too_where_the_rebuild_broke_off_and_went_on(
    order: Service, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    (held,) = await place(order, 1)
    async with wiped(tmp_path, dapr) as parts:
        await break_commits(parts.database)
        with pytest.raises(SQLAlchemyError):
            await rebuild(parts)
        await mend_commits(parts.database)

        await rebuild(parts)
        await hears(order, parts)

    assert (await shown(order, held))["state"] == "HELD"


async def test_what_a_later_rebuild_says_is_newer_than_all_that_was_said_before(
    order: Service, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    (held,) = await place(order, 1)
    async with wiped(tmp_path, dapr) as parts:
        await rebuild(parts)
    async with order.database.write() as session:  # released, unknown, held, and so on
        last = version_now() + 20
        await show_notification(session, held, last, notification_state="FAILED")

    async with wiped(tmp_path, dapr, "again") as parts:
        with so_much_later(timedelta(minutes=1)):
            await rebuild(parts)
        await hears(order, parts)

    assert (await shown(order, held))["state"] == "HELD"


async def test_a_rebuild_whose_end_is_gone_goes_on_to_the_end_of_now(
    order: Service, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    orders = await place(order, 2)
    async with wiped(tmp_path, dapr) as parts:
        await is_begun(parts)
        async with order.database.write() as session:
            await session.execute(update(feed).values(id=uuid4()))
        orders += await place(order, 1)

        async with asyncio.timeout(20):
            await rebuild(parts)
        await reconciler(parts).step()

        assert await states(parts) == dict.fromkeys(orders, State.HELD)
