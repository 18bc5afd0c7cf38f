"""A rebuild restores records and not effects: whatever was told to whom, nobody is told again by it."""

import asyncio
import os
import sys
from pathlib import Path

import pytest
from sqlalchemy import select, update

from chassis.dapr.sidecar import SidecarUnavailable
from chassis.inbox.inbox import take_in
from chassis.outbox.outbox import outbox
from chassis.reconciler.reconciler import RebuildNeeded
from chassis.runtime.lock import exclusive
from services.notification.channels import Console
from services.notification.dispatcher import Dispatcher
from services.notification.model import Channel, Notification, State
from services.notification.reactions.notify_customer_on_order_created import reaction
from services.notification.rebuild import StillRunning, rebuild
from services.order.model import show_notification
from services.order.reactions import show_notification_on_notification_sent
from tests.notification.rebuilding import (
    is_begun,
    is_told,
    place,
    reconciler,
    states,
    wiped,
)
from tests.support.database import url_in
from tests.support.services import Service
from tests.support.simulated_dapr import SimulatedDapr
from tests.support.sockets import closed_port

pytestmark = pytest.mark.usefixtures("each_database")


async def test_who_is_known_as_told_is_sent_and_the_others_are_held(
    order: Service, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    told, *others = await place(order, 3)
    await is_told(order, told)

    async with wiped(tmp_path, dapr) as parts:
        await rebuild(parts)

        assert await states(parts) == {
            told: State.SENT,
            **dict.fromkeys(others, State.HELD),
        }


async def test_what_is_ordered_after_it_is_sent_as_ever(
    order: Service, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    (before,) = await place(order, 1)

    async with wiped(tmp_path, dapr) as parts:
        await rebuild(parts)
        (after,) = await place(order, 1)
        await reconciler(parts).step()

        assert await states(parts) == {before: State.HELD, after: State.READY}


async def test_what_is_said_after_it_supersedes_what_was_said_before(
    order: Service, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    (order_id,) = await place(order, 1)
    async with order.database.write() as session:
        await show_notification(session, order_id, 2, notification_state="UNKNOWN")

    async with wiped(tmp_path, dapr) as parts:
        await rebuild(parts)
        async with parts.database.write() as session:  # an operator releases it
            await session.execute(update(Notification).values(state=State.READY))
        await Dispatcher(parts.database, Channel.CONSOLE, Console()).step()
        async with parts.database.read() as session:
            newest = select(outbox.c.event).order_by(outbox.c.position.desc())
            said = await session.scalar(newest.limit(1))

    heard = show_notification_on_notification_sent.reaction
    await take_in(order.database, heard, str(said).encode())
    shown = (await order.http.get(f"/api/order/{order_id}")).json()
    assert shown["notification"]["state"] == "SENT"


async def test_a_database_that_was_wiped_is_noticed_and_nobody_is_told_again(
    order: Service, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    await place(order, 2)
    async with wiped(tmp_path, dapr) as parts:
        while await reconciler(parts).step():
            pass
        await reconciler(parts).step()  # what it has taken in is acknowledged by it

    async with wiped(tmp_path, dapr, "again") as parts:
        with pytest.raises(RebuildNeeded, match="another one, or an older one"):
            await reconciler(parts).step()

        assert await states(parts) == {}


async def test_a_rebuild_that_breaks_off_goes_on_and_until_then_nothing_is_taken(
    order: Service, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    before = await place(order, 2)
    async with wiped(tmp_path, dapr) as parts:
        await is_begun(parts)
        meanwhile = await place(order, 1)

        with pytest.raises(RebuildNeeded, match="not finished"):
            await reconciler(parts).step()
        await rebuild(parts)
        await reconciler(parts).step()

        assert await states(parts) == {
            **dict.fromkeys(before, State.HELD),
            **dict.fromkeys(meanwhile, State.READY),
        }


async def test_a_second_rebuild_changes_nothing(
    order: Service, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    await place(order, 2)
    async with wiped(tmp_path, dapr) as parts:
        await rebuild(parts)
        once = await states(parts)

        await rebuild(parts)

        assert await states(parts) == once


async def test_while_the_service_runs_nothing_is_rebuilt(
    order: Service, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    await place(order, 1)
    async with (
        wiped(tmp_path, dapr) as parts,
        exclusive(parts.database.lock_file(reaction.name)),
    ):
        with pytest.raises(StillRunning):
            await rebuild(parts)

        assert await states(parts) == {}


async def test_without_the_order_service_it_says_so_and_can_be_begun_again(
    order: Service, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    (before,) = await place(order, 1)
    async with wiped(tmp_path, dapr) as parts:
        dapr.away.add("order")
        with pytest.raises(SidecarUnavailable):
            await rebuild(parts)
        dapr.away.clear()

        await rebuild(parts)

        assert await states(parts) == {before: State.HELD}


async def test_an_empty_feed_is_rebuilt_to_nothing(
    order: Service, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    async with wiped(tmp_path, dapr) as parts:
        await rebuild(parts)

        assert await states(parts) == {}


async def test_as_a_command_it_says_what_is_missing_in_one_line(tmp_path: Path) -> None:
    environment = {
        "DATABASE_URL": url_in(tmp_path, "notification"),
        "FEED_SECRET_FILE": str(tmp_path / "feed.secret"),
        "DAPR_HTTP_PORT": str(closed_port()),
    }

    command = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.notification.rebuild"),
        env=environment,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await command.communicate()

    assert command.returncode == os.EX_TEMPFAIL
    assert said.decode() == (
        "the sidecar does not answer (ConnectError). What is done stays done.\n"
    )
