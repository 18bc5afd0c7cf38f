"""Refused mails: what concerns one mail delays that mail alone, up to three days; nobody else waits for it."""

from datetime import UTC, datetime, timedelta

import pytest

from chassis.dapr.bindings import LONGEST
from services.notification.dispatcher import REFUSED_WAIT
from services.notification.model import State
from services.notification.outcomes import LONGEST_WAIT
from tests.notification.mail_room import JANE, MailRoom, ahead, attempt
from tests.support.mail_api import LOST_ANSWER, Deed
from tests.support.mail_server import DROP, Act

UNKNOWN_DOMAIN = Act("450 4.1.2 Recipient address rejected: Domain not found")


async def test_a_few_undeliverable_addresses_stop_nobody_elses_mail(
    room: MailRoom,
) -> None:
    undeliverable = [f"{number}@undeliverable.test" for number in range(10)]
    for each in undeliverable:
        await room.order(each)
        room.mailbox.acts[f"RCPT {each}"] = UNKNOWN_DOMAIN
    others = [await room.order(f"{number}@example.org") for number in range(5)]
    dispatcher = room.dispatcher()

    for _ in range(len(undeliverable) + len(others)):
        assert await attempt(dispatcher) == ""

    assert {(await room.of(each)).state for each in others} == {State.SENT}
    assert not await dispatcher.step()


@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DATA", "DOT"])
@pytest.mark.parametrize("reply", ["450 busy", "451 4.7.1 greylisted", "452 full"])
async def test_a_mail_that_is_refused_transiently_waits_without_a_pause_of_the_channel(
    room: MailRoom, stage: str, reply: str
) -> None:
    order = await room.order()
    room.mailbox.acts[stage] = Act(reply)
    now = datetime.now(UTC)

    assert await attempt(room.dispatcher()) == ""

    notification = await room.of(order)
    assert notification.state == State.READY
    assert notification.reason
    assert reply[:3] in notification.reason
    assert ahead(notification.due_at, now) >= REFUSED_WAIT / 2
    assert await room.published(order) == []


@pytest.mark.parametrize(
    ("stage", "reply"),
    [
        ("GREETING", "421 busy"),
        ("GREETING", "554 go away"),
        ("MAIL", "530 auth first"),
        ("RCPT", "421 closing"),
        ("DOT", "454 no TLS now"),
    ],
)
async def test_trouble_of_the_server_pauses_the_channel(
    room: MailRoom, stage: str, reply: str
) -> None:
    order = await room.order()
    room.mailbox.acts[stage] = Act(reply)

    assert reply[:3] in await attempt(room.dispatcher())

    notification = await room.of(order)
    assert (notification.state, notification.refused_since) == (State.READY, None)


@pytest.mark.parametrize("code", ["421", "450", "550"])
async def test_an_address_that_a_mail_server_quotes_is_in_no_log_and_no_event(
    room: MailRoom, code: str
) -> None:
    order = await room.order("jane@example.org")
    room.mailbox.acts["RCPT"] = Act(f"{code} <jane@example.org>: no such user")

    logged = await attempt(room.dispatcher())

    reason = (await room.of(order)).reason or ""
    assert "<(address)>: no such user" in reason
    assert "jane@" not in f"{logged} {reason}"
    assert bool(logged) is (code == "421")


@pytest.mark.parametrize("code", ["421", "450", "550"])
async def test_where_what_a_mail_server_says_is_cut_off_no_half_of_an_address_is_left(
    room: MailRoom, code: str
) -> None:
    address = f"{'jane' * 16}@example.org"
    order = await room.order(address)
    room.mailbox.acts["RCPT"] = Act(f"{code} {f'{address} ' * 10_000}")

    logged = await attempt(room.dispatcher())

    reason = (await room.of(order)).reason or ""
    assert "(address) (address)" in reason
    assert "jane" not in f"{logged} {reason}"
    assert len(reason) <= LONGEST


@pytest.mark.parametrize(
    ("refused_for", "shortest", "longest"),
    [
        (timedelta(0), REFUSED_WAIT / 2, REFUSED_WAIT),
        (timedelta(minutes=2), timedelta(minutes=1), timedelta(minutes=2)),
        (timedelta(minutes=16), timedelta(minutes=8), timedelta(minutes=16)),
        (timedelta(hours=30), LONGEST_WAIT / 2, LONGEST_WAIT),
        (timedelta(days=2, hours=23), LONGEST_WAIT / 2, LONGEST_WAIT),
        pytest.param(
            timedelta(days=-365), REFUSED_WAIT / 2, REFUSED_WAIT, id="clock was ahead"
        ),
    ],
)
async def test_it_waits_as_long_as_it_has_been_refused_up_to_an_hour(
    room: MailRoom, refused_for: timedelta, shortest: timedelta, longest: timedelta
) -> None:
    now = datetime.now(UTC)
    order = await room.order(refused_since=now - refused_for)
    room.mailbox.acts["RCPT"] = UNKNOWN_DOMAIN

    await attempt(room.dispatcher())

    notification = await room.of(order)
    moment = timedelta(seconds=5)
    assert shortest <= ahead(notification.due_at, now) <= longest + moment
    since = max(refused_for, timedelta(0))
    assert abs(ahead(notification.refused_since, now) + since) < moment


async def test_a_mail_that_is_refused_for_three_days_has_failed(room: MailRoom) -> None:
    since = datetime.now(UTC) - timedelta(days=3)
    order = await room.order(refused_since=since)
    room.mailbox.acts["RCPT"] = UNKNOWN_DOMAIN

    assert await attempt(room.dispatcher()) == ""

    notification = await room.of(order)
    assert notification.state == State.FAILED
    assert notification.reason
    assert "450" in notification.reason
    assert await room.published(order) == [("FAILED", 1)]


async def test_days_of_trouble_of_the_server_do_not_count_against_a_mail(
    room: MailRoom,
) -> None:
    order, dispatcher = await room.order(attempt=5000), room.dispatcher()
    room.mailbox.acts["RCPT"] = UNKNOWN_DOMAIN

    await attempt(dispatcher)

    assert (await room.of(order)).state == State.READY


async def test_a_mail_that_was_refused_for_a_while_is_sent_in_the_end(
    room: MailRoom,
) -> None:
    order, dispatcher = await room.order(), room.dispatcher()
    room.mailbox.acts["RCPT"] = UNKNOWN_DOMAIN
    await attempt(dispatcher)
    room.mailbox.acts.clear()
    await room.time_passes()

    await dispatcher.step()

    assert await room.published(order) == [("SENT", 1)]
    assert len(room.mailbox.to(JANE)) == 1


async def test_a_mail_of_unknown_outcome_that_an_api_still_refuses_is_held_in_the_end(
    room: MailRoom,
) -> None:
    api, order, dispatcher = room.api(), await room.order(), room.dispatcher()
    api.deeds[""] = LOST_ANSWER
    await attempt(dispatcher)
    api.deeds[""] = Deed(422)
    await room.time_passes()

    await attempt(dispatcher)

    assert await room.published(order) == [("UNKNOWN", 1), ("HELD", 2)]


async def test_a_mail_that_is_refused_in_between_is_still_sent_twice_at_most(
    room: MailRoom,
) -> None:
    order, dispatcher = await room.order(), room.dispatcher()

    for act in (Act("450 busy"), DROP, Act("450 busy"), DROP):
        room.mailbox.acts["DOT"] = act
        await attempt(dispatcher)
        await room.time_passes()

    assert await room.published(order) == [("UNKNOWN", 1), ("HELD", 2)]
    assert len(room.mailbox.mails) == 2
