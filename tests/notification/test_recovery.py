"""A rebuild asks the order service: orders that are older than the retention have no events any more."""

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
from chassis.outbox.outbox import feed, outbox
from chassis.runtime import clock
from chassis.runtime.clock import Surroundings
from contracts.order_created import OrderCreated
from services.notification.model import Channel, State
from services.notification.rebuild import rebuild
from services.notification.recovery import REASON, RECENT, version_now
from services.order.model import Order
from tests.notification.mail_room import change
from tests.notification.rebuilding import (
    events,
    handle,
    handle_events,
    is_begun,
    is_known_as_sent,
    place,
    pull,
    shown,
    shows,
    states,
    the_only,
    wiped,
)
from tests.support.database import break_commits, followed, mend_commits
from tests.support.services import Service
from tests.support.simulated_dapr import SimulatedDapr

pytestmark = pytest.mark.usefixtures("each_database")


async def are_old(order: Service) -> None:
    """Make all orders older than events are kept."""
    then = clock.now().replace(microsecond=0) - timedelta(days=8)
    older = update(Order).values(created_at=then)
    await change(order.database, older)


@contextmanager
def so_much_later(by: timedelta) -> Iterator[None]:
    """Set the clock ahead."""
    token = clock.current.set(Surroundings(lambda: datetime.now(UTC) + by))
    try:
        yield
    finally:
        clock.current.reset(token)


async def is_gone(order: Service, order_id: UUID) -> bytes:
    """Delete the event of an order, as retention does; return it."""
    (event,) = [each for each in await events(order) if str(order_id) in each]
    removed = delete(outbox).where(outbox.c.event == event)
    await change(order.database, removed)
    return event.encode()


async def test_an_order_whose_event_is_gone_has_its_notification_again(
    order: Service, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    sent, unsent, there = await place(order, 3)
    await are_old(order)
    await is_known_as_sent(order, sent)
    for each in sent, unsent:
        await is_gone(order, each)

    async with wiped(tmp_path, dapr) as parts:
        await rebuild(parts)

        held = dict.fromkeys((unsent, there), State.HELD)
        assert await states(parts) == {sent: State.SENT, **held}


async def test_it_has_everything_that_the_event_would_have_brought(
    order: Service, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    """Also a field that somebody adds to OrderCreated and to Notification later."""
    body = {"customerName": "Jane", "customerEmail": "jane@example.org"}
    await order.http.post("/api/order", json=body)
    async with wiped(tmp_path, dapr, "before") as parts:
        await pull(parts)
        before = await the_only(parts)
    await is_gone(order, before.order_id)

    async with wiped(tmp_path, dapr) as parts:
        with so_much_later(2 * RECENT):
            await rebuild(parts)
        after = await the_only(parts)

    for name in OrderCreated.model_fields:
        assert getattr(after, name) == getattr(before, name)
    assert (after.channel, after.reason) == (Channel.EMAIL, REASON)


async def test_its_event_that_comes_after_all_is_a_dead_letter_and_notifies_nobody(
    order: Service,
    tmp_path: Path,
    dapr: SimulatedDapr,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (order_id,) = await place(order, 1, email=None)
    await are_old(order)
    event = await is_gone(order, order_id)

    async with wiped(tmp_path, dapr) as parts:
        await rebuild(parts)
        await handle(parts, event)
        await followed(parts.database)

        assert await states(parts) == {order_id: State.HELD}
        body = select(dead_letter.c.body)
        stored = await parts.database.read(lambda session: session.scalars(body).all())
        assert stored == [event]
        assert "Notification for Order" not in capfd.readouterr().out


async def test_an_order_whose_event_is_still_to_come_is_left_to_the_service(
    order: Service, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    (before,) = await place(order, 1)
    async with wiped(tmp_path, dapr) as parts:
        await is_begun(parts)
        (after,) = await place(order, 1)
        with so_much_later(2 * RECENT):
            await rebuild(parts)
        await pull(parts)

        assert await states(parts) == {before: State.HELD, after: State.READY}


async def test_a_recent_order_whose_event_is_not_to_be_seen_yet_is_left_to_the_service(
    order: Service, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    before, committing = await place(order, 2)
    event = await is_gone(order, committing)

    async with wiped(tmp_path, dapr) as parts:
        await rebuild(parts)
        await handle(parts, event)

        assert await states(parts) == {before: State.HELD, committing: State.READY}


async def test_an_order_shows_that_its_notification_is_held(
    order: Service, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    held, sent = await place(order, 2)
    await is_known_as_sent(order, sent)

    async with wiped(tmp_path, dapr) as parts:
        await rebuild(parts)
        await handle_events(order, parts)

        assert len(await events(parts)) == 1
    assert (await shown(order, held))["state"] == "HELD"
    assert (await shown(order, held))["reason"] == REASON
    assert (await shown(order, sent))["state"] == "SENT"


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
        await handle_events(order, parts)

    assert (await shown(order, held))["state"] == "HELD"


async def test_what_a_later_rebuild_publishes_is_newer_than_everything_before(
    order: Service, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    (held,) = await place(order, 1)
    async with wiped(tmp_path, dapr) as parts:
        await rebuild(parts)
    last = version_now() + 20  # released, unknown, held, and so on
    await shows(order, held, last, "FAILED")

    async with wiped(tmp_path, dapr, "again") as parts:
        with so_much_later(timedelta(minutes=1)):
            await rebuild(parts)
        await handle_events(order, parts)

    assert (await shown(order, held))["state"] == "HELD"


async def test_a_rebuild_whose_end_is_gone_goes_on_to_the_end_of_now(
    order: Service, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    orders = await place(order, 2)
    async with wiped(tmp_path, dapr) as parts:
        await is_begun(parts)
        another = update(feed).values(id=uuid4())
        await change(order.database, another)
        orders += await place(order, 1)

        async with asyncio.timeout(20):
            await rebuild(parts)
        await pull(parts)

        assert await states(parts) == dict.fromkeys(orders, State.HELD)
