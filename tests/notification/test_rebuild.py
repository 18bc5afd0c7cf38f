"""A rebuild restores records and not effects: nobody is notified again by it."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from chassis.dapr import SidecarUnavailable
from chassis.database.exclusive import InUse
from chassis.inbox import Inbox
from chassis.reconciler import RebuildNeeded
from services.notification.commands.release_notification import ReleaseNotification
from services.notification.model import State
from services.notification.rebuild import rebuild
from services.notification.release import release_all
from services.order.reactions import show_notification
from tests.notification.rebuilding import (
    events,
    is_begun,
    is_known_as_sent,
    place,
    pull,
    shown,
    shows,
    states,
    wiped,
)
from tests.support.database import followed, secrets_in, url_in
from tests.support.delivering import received
from tests.support.services import Service, notification_service
from tests.support.simulated_dapr import SimulatedDapr
from toolchain.runfile import free_port

pytestmark = pytest.mark.usefixtures("each_database")

RELEASE = ReleaseNotification(by="Ada Lovelace", reason="After the rebuild.")


async def test_what_is_known_as_sent_is_sent_and_the_others_are_held(
    order: Service, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    sent, *others = await place(order, 3)
    await is_known_as_sent(order, sent)

    async with wiped(tmp_path, dapr) as parts:
        await rebuild(parts)

        assert await states(parts) == {
            sent: State.SENT,
            **dict.fromkeys(others, State.HELD),
        }


async def test_a_rebuild_prints_no_line_and_a_release_prints_it_once(
    order: Service,
    tmp_path: Path,
    dapr: SimulatedDapr,
    capfd: pytest.CaptureFixture[str],
) -> None:
    orders = await place(order, 2, email=None)
    async with wiped(tmp_path, dapr) as parts:
        await rebuild(parts)
        assert await states(parts) == dict.fromkeys(orders, State.HELD)
        assert "Notification for Order" not in capfd.readouterr().out

        for _ in range(2):
            await release_all(parts.database, orders, RELEASE, 1e6, asyncio.Event())
        await followed(parts.database)

        assert await states(parts) == dict.fromkeys(orders, State.SENT)
        assert capfd.readouterr().out.count("Notification for Order") == 2


async def test_what_is_ordered_after_it_is_sent_as_ever(
    order: Service, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    (before,) = await place(order, 1)

    async with wiped(tmp_path, dapr) as parts:
        await rebuild(parts)
        (after,) = await place(order, 1)
        await pull(parts)

        assert await states(parts) == {before: State.HELD, after: State.READY}


async def test_what_is_published_after_it_supersedes_what_was_published_before(
    order: Service, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    (order_id,) = await place(order, 1, email=None)
    await shows(order, order_id, 2, "UNKNOWN")

    async with wiped(tmp_path, dapr) as parts:
        await rebuild(parts)
        await release_all(parts.database, [order_id], RELEASE, 1e6, asyncio.Event())
        newest = (await events(parts))[-1].encode()

        inbox = Inbox(order.database, parts.keys)
        await inbox.handle(show_notification.on_notification_sent, received(newest))
    assert (await shown(order, order_id))["state"] == "SENT"


async def test_a_database_that_was_wiped_is_noticed_and_nobody_is_notified_again(
    order: Service, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    await place(order, 2)
    async with wiped(tmp_path, dapr) as parts:
        await pull(parts)
        await pull(parts)  # acknowledges what was handled

    async with wiped(tmp_path, dapr, "again") as parts:
        with pytest.raises(RebuildNeeded, match="another one, or an older one"):
            await pull(parts)

        assert await states(parts) == {}


async def test_a_rebuild_that_breaks_off_goes_on_and_until_then_nothing_is_pulled(
    order: Service, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    before = await place(order, 2)
    async with wiped(tmp_path, dapr) as parts:
        await is_begun(parts)
        meanwhile = await place(order, 1)

        with pytest.raises(RebuildNeeded, match="not finished"):
            await pull(parts)
        await rebuild(parts)
        await pull(parts)

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
    """On whichever host it runs, behind whichever sidecar."""
    await place(order, 1)
    async with wiped(tmp_path, dapr, ".") as parts:
        async with notification_service(tmp_path, dapr, dapr_http_port=3599):
            before = await states(parts)
            with pytest.raises(InUse):
                await rebuild(parts)

            assert State.HELD not in before.values()
            assert State.HELD not in (await states(parts)).values()

        await rebuild(parts)


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
        "SECRETS_FOLDER": str(secrets_in(tmp_path)),
        "DAPR_HTTP_PORT": str(free_port()),
    }

    command = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.notification.rebuild"),
        env=environment,
        stderr=asyncio.subprocess.PIPE,
    )
    _, error = await command.communicate()

    assert command.returncode == os.EX_TEMPFAIL
    assert error.decode() == (
        "the sidecar does not answer (no connection). What is done stays done.\n"
    )
