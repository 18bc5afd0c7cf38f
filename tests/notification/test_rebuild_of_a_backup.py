"""A rebuild of an older database: what it has as still to be sent is held, and nobody is told twice."""

from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import SQLAlchemyError

from chassis.inbox.inbox import take_in
from chassis.reconciler import cursor as feed_cursor
from chassis.reconciler.reconciler import rebuild_of
from chassis.service.service import Parts
from services.notification.channels import Console
from services.notification.dispatcher import Dispatcher
from services.notification.model import Channel, Notification, State
from services.notification.reactions.notify_customer_on_order_created import reaction
from services.notification.rebuild import RESTORING, rebuild
from services.notification.recovery import REASON
from services.order.model import show_notification
from tests.notification.rebuilding import (
    events,
    hears,
    is_begun,
    is_told,
    place,
    shown,
    states,
    wiped,
)
from tests.support.database import refuses
from tests.support.services import Service
from tests.support.simulated_dapr import SimulatedDapr

pytestmark = pytest.mark.usefixtures("each_database")


async def backed_up(
    order: Service, parts: Parts, state: State, reason: str | None = None
) -> UUID:
    """Have an order whose notification is in this state in the backup."""
    (order_id,) = await place(order, 1)
    await take_in(parts.database, reaction, (await events(order))[-1].encode())
    async with parts.database.write() as session:
        mine = update(Notification).where(Notification.order_id == order_id)
        await session.execute(mine.values(state=state, reason=reason))
    return order_id


@pytest.mark.parametrize("state", [State.READY, State.SENDING, State.UNKNOWN])
async def test_what_a_backup_has_as_still_to_be_sent_is_held(
    order: Service, tmp_path: Path, dapr: SimulatedDapr, state: State
) -> None:
    async with wiped(tmp_path, dapr) as parts:
        order_id = await backed_up(order, parts, state)

        await rebuild(parts)
        console = Dispatcher(parts.database, Channel.CONSOLE, Console())
        await console.reclaim()
        await console.step()

        assert await states(parts) == {order_id: State.HELD}
        async with parts.database.read() as session:
            assert await session.scalar(select(Notification.reason)) == REASON


@pytest.mark.parametrize("state", [State.READY, State.FAILED, State.HELD])
async def test_who_was_told_after_the_backup_is_known_as_told(
    order: Service, tmp_path: Path, dapr: SimulatedDapr, state: State
) -> None:
    async with wiped(tmp_path, dapr) as parts:
        order_id = await backed_up(order, parts, state, "550 no such user")
        await is_told(order, order_id)

        await rebuild(parts)

        assert await states(parts) == {order_id: State.SENT}
        async with parts.database.read() as session:
            (row,) = (await session.scalars(select(Notification))).all()
        assert (row.sent_at, row.reason) == (row.order_created_at, None)


async def test_what_a_backup_has_as_ended_stays_so_where_nobody_knows_better(
    order: Service, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    async with wiped(tmp_path, dapr) as parts:
        sent = await backed_up(order, parts, State.SENT)
        failed = await backed_up(order, parts, State.FAILED, "550 no such user")

        await rebuild(parts)

        assert await states(parts) == {sent: State.SENT, failed: State.FAILED}


async def test_what_is_said_of_it_is_newer_than_what_was_said_after_the_backup(
    order: Service, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    async with wiped(tmp_path, dapr) as parts:
        order_id = await backed_up(order, parts, State.READY)
        async with order.database.write() as session:
            await show_notification(session, order_id, 2, notification_state="UNKNOWN")

        await rebuild(parts)
        await hears(order, parts)

    assert (await shown(order, order_id))["state"] == "HELD"


async def test_what_was_made_since_is_not_held_by_a_rebuild_that_goes_on(
    order: Service, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    (before,) = await place(order, 1)
    async with wiped(tmp_path, dapr) as parts:
        await is_begun(parts)
        since = await backed_up(order, parts, State.READY)

        await rebuild(parts)

        assert await states(parts) == {before: State.HELD, since: State.READY}


async def test_a_rebuild_that_cannot_hold_what_is_there_has_not_begun(
    order: Service, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    async with wiped(tmp_path, dapr) as parts:
        await backed_up(order, parts, State.READY)
        await refuses(parts.database, "UPDATE", "notification")

        with pytest.raises(SQLAlchemyError, match="there is no room"):
            await rebuild(parts)

        async with parts.database.read() as session:
            assert await feed_cursor.find(session, rebuild_of(RESTORING)) is None
