"""Mail: a server's replies, or none, and what becomes of the notification and what is published about it."""

import asyncio
import inspect
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError

from chassis.dapr.sidecar import Sidecar
from services.notification.model import State
from services.notification.outcomes import LEASE, fence, mark_and_append
from tests.notification.mail_room import JANE, MailRoom, ahead, attempt
from tests.support.eventually import eventually
from tests.support.mail_server import DROP, Act
from tests.support.services import notification_service
from tests.support.simulated_dapr import SimulatedDapr

ANN = "ann@example.org"


def test_a_claim_outlasts_the_call_and_what_is_asked_before_it() -> None:
    defaults = inspect.signature(Sidecar).parameters
    longest = defaults["deadline"].default + defaults["send_deadline"].default

    assert defaults["send_deadline"].default == 30
    assert longest < LEASE.total_seconds() / 1.4


async def test_a_mail_goes_to_its_customer_about_their_order(room: MailRoom) -> None:
    order = await room.order(JANE, "Jane Doe")

    await room.dispatcher().step()

    (mail,) = room.mailbox.mails
    assert mail.recipients == (JANE,)
    assert mail.subject == f"Your order {order}"
    assert "Jane Doe" in mail.text
    assert str(order) in mail.text
    (event,) = await room.events()
    assert (event["type"], event["data"]["channel"]) == ("NotificationSent", "email")


async def test_a_mail_that_is_refused_for_good_has_failed(
    room: MailRoom, capfd: pytest.CaptureFixture[str]
) -> None:
    order = await room.order()
    room.mailbox.acts["RCPT"] = Act("550 no such user")

    assert await attempt(room.dispatcher()) == ""

    notification = await room.of(order)
    assert notification.state == State.FAILED
    assert notification.due_at is None
    assert notification.reason
    assert '550 "no such user"' in notification.reason
    (event,) = await room.events()
    assert event["type"] == "NotificationFailed"
    assert event["data"]["reason"] == notification.reason
    assert await room.published(order) == [("FAILED", 1)]
    await room.time_passes()
    assert not await room.dispatcher().step()
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("act", [Act("550 no"), DROP], ids=["failed", "unknown"])
async def test_what_went_wrong_and_the_event_are_one_transaction(
    room: MailRoom, act: Act
) -> None:
    order = await room.order()
    room.mailbox.acts["DOT"] = act

    async with room.without_events():
        with pytest.raises(DBAPIError):
            await room.dispatcher().step()
        assert (await room.of(order)).state == State.SENDING


async def test_a_mail_that_meets_a_channel_in_trouble_waits_longer_each_time(
    room: MailRoom,
) -> None:
    order = await room.order()
    room.mailbox.acts["GREETING"] = Act("421 busy")
    dispatcher, waits = room.dispatcher(), []

    for _ in range(4):
        await room.time_passes()
        now = datetime.now(UTC)
        assert "421" in await attempt(dispatcher)
        notification = await room.of(order)
        assert notification.state == State.READY
        waits.append(ahead(notification.due_at, now) / timedelta(seconds=1))

    for longest, wait in zip((1, 2, 4, 8), waits, strict=True):
        assert longest / 2 <= wait <= longest + 1
    assert await room.published(order) == []


async def test_it_waits_five_minutes_at_most(room: MailRoom) -> None:
    order, now = await room.order(attempt=5000), datetime.now(UTC)
    room.mailbox.acts["GREETING"] = Act("421 busy")

    assert "421" in await attempt(room.dispatcher())

    minutes = ahead((await room.of(order)).due_at, now) / timedelta(minutes=1)
    assert 2.5 <= minutes <= 5.5


async def test_the_channel_pauses_and_then_the_others_go_on(room: MailRoom) -> None:
    first, other = await room.order(), await room.order(ANN)
    room.mailbox.acts[f"RCPT {JANE}"] = Act("421 closing")
    dispatcher = room.dispatcher()

    assert "421" in await attempt(dispatcher)
    assert len(room.mailbox.mails) == 0
    assert await attempt(dispatcher) == ""

    assert (await room.of(first)).state == State.READY
    assert (await room.of(other)).state == State.SENT


async def test_while_the_server_is_down_all_wait_and_it_is_logged_once(
    room: MailRoom, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    orders = [await room.order(f"{number}@example.org") for number in range(3)]
    room.dapr.away.add("email")
    loop = room.dispatcher().loop()
    loop.first_pause = loop.longest_pause = 0.01
    running = asyncio.create_task(loop.run())

    async def were_tried_again() -> bool:
        return min(each.attempt for each in await room.all()) >= 2

    await eventually(were_tried_again, "each was tried again")
    assert {each.state for each in await room.all()} <= {State.READY, State.SENDING}
    room.dapr.away.clear()
    await room.time_passes()

    async def are_sent() -> bool:
        return {each.state for each in await room.all()} == {State.SENT}

    await eventually(are_sent, "all are sent")
    await loop.stop(running)
    assert len(room.mailbox.mails) == 3
    assert [await room.published(each) for each in orders] == [[("SENT", 1)]] * 3
    began, ended = (
        each.message for each in caplog.records if "dispatcher" in each.message
    )
    assert "connection refused" in began
    assert "recovered" in ended


async def test_why_a_mail_was_not_sent_is_shown(
    room: MailRoom, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    order = await room.order()
    dapr.away.add("email")

    async with notification_service(tmp_path, dapr) as service:

        async def is_explained() -> dict[str, str] | None:
            shown = (await service.http.get(f"/api/notification/{order}")).json()
            return shown if shown["reason"] else None

        shown = await eventually(is_explained, "the reason is shown")

    assert "connection refused" in shown["reason"]
    assert shown["dueAt"].endswith("Z")


async def test_a_reason_is_kept_short_and_printable(room: MailRoom) -> None:
    order = await room.order()
    reply = "550 \x00\x1b[31m\u202e" + "no " * 400
    mine = fence("me", await room.claimed("me"))

    await room.database.write(
        lambda session: mark_and_append(session, mine, State.FAILED, reason=reply)
    )

    reason = (await room.of(order)).reason
    assert reason
    assert len(reason) == 500
    assert reason.isprintable()


async def test_without_its_sidecar_a_mail_is_not_sent_and_waits(room: MailRoom) -> None:
    order = await room.order()
    room.dapr.running = False
    dispatcher = room.dispatcher()

    assert "does not answer" in await attempt(dispatcher)

    assert (await room.of(order)).state == State.READY
    room.dapr.running = True
    await room.time_passes()
    await dispatcher.step()
    assert len(room.mailbox.mails) == 1
    assert await room.published(order) == [("SENT", 1)]


async def test_one_mail_is_under_way_at_a_time_and_each_is_its_customers_own(
    room: MailRoom, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    addresses = [f"{number}@example.org" for number in range(8)]
    orders = {each: await room.order(each) for each in addresses}
    room.mailbox.acts["DOT"] = Act(delay=0.02)

    async with notification_service(tmp_path, dapr):

        async def are_sent() -> bool:
            return {each.state for each in await room.all()} == {State.SENT}

        await eventually(are_sent, "all are sent")

    assert room.mailbox.most_open == 1
    for address, order in orders.items():
        (mail,) = room.mailbox.to(address)
        assert (str(order) in mail.text, str(order) in mail.subject) == (True, True)
