"""A rebuild of a restored backup: what it has as still to be sent is held, and nobody is notified twice."""

from functools import partial
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import update
from sqlalchemy.exc import SQLAlchemyError

from chassis.parts import Parts
from chassis.reconciler import cursor as feed_cursor
from services.notification.model import Notification, State
from services.notification.rebuild import END, rebuild
from services.notification.recovery import REASON
from tests.notification.mail_room import change
from tests.notification.rebuilding import (
    events,
    handle,
    handle_events,
    is_begun,
    is_known_as_sent,
    place,
    shown,
    shows,
    states,
    the_only,
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
    await handle(parts, (await events(order))[-1].encode())
    mine = update(Notification).where(Notification.order_id == order_id)
    statement = mine.values(state=state, reason=reason)
    await change(parts.database, statement)
    return order_id


@pytest.mark.parametrize("state", [State.READY, State.SENDING, State.UNKNOWN])
async def test_what_a_backup_has_as_still_to_be_sent_is_held(
    order: Service, tmp_path: Path, dapr: SimulatedDapr, state: State
) -> None:
    async with wiped(tmp_path, dapr) as parts:
        order_id = await backed_up(order, parts, state)

        await rebuild(parts)

        assert await states(parts) == {order_id: State.HELD}
        assert (await the_only(parts)).reason == REASON


@pytest.mark.parametrize("state", [State.READY, State.FAILED, State.HELD])
async def test_what_was_sent_after_the_backup_is_known_as_sent(
    order: Service, tmp_path: Path, dapr: SimulatedDapr, state: State
) -> None:
    async with wiped(tmp_path, dapr) as parts:
        order_id = await backed_up(order, parts, state, "550 no such user")
        await is_known_as_sent(order, order_id)

        await rebuild(parts)

        assert await states(parts) == {order_id: State.SENT}
        row = await the_only(parts)
        assert (row.sent_at, row.reason) == (row.created_at, None)


async def test_what_a_backup_has_as_ended_stays_so_where_nobody_knows_better(
    order: Service, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    async with wiped(tmp_path, dapr) as parts:
        sent = await backed_up(order, parts, State.SENT)
        failed = await backed_up(order, parts, State.FAILED, "550 no such user")

        await rebuild(parts)

        assert await states(parts) == {sent: State.SENT, failed: State.FAILED}


async def test_what_it_publishes_is_newer_than_what_was_published_after_the_backup(
    order: Service, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    async with wiped(tmp_path, dapr) as parts:
        order_id = await backed_up(order, parts, State.READY)
        await shows(order, order_id, 2, "UNKNOWN")

        await rebuild(parts)
        await handle_events(order, parts)

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

        find = partial(feed_cursor.find, reaction=END)
        assert await parts.database.read(find) is None
