"""Mails to an API that deduplicates: sent again with the same key until their outcome is known."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from services.notification import channels
from services.notification.model import State
from services.notification.outcomes import KEY_KEPT, LEASE, Policy
from tests.notification.mail_room import JANE, MailRoom, ahead, attempt
from tests.support.database import refuses
from tests.support.eventually import eventually
from tests.support.mail_api import (
    LOST_ANSWER,
    LOST_REQUEST,
    NEVER_ANSWERED,
    Deed,
)
from tests.support.mail_server import DROP
from tests.support.services import notification_service
from tests.support.simulated_dapr import SimulatedDapr

BOTH = pytest.mark.parametrize("policy", ["resend", "hold"])


async def test_a_mail_goes_to_its_customer_about_their_order_with_a_key(
    room: MailRoom,
) -> None:
    api, order = room.api(), await room.order(JANE, "Jane Doe")

    await room.dispatcher().step()

    ((key, mail),) = api.taken.items()
    assert key.startswith(f"order-created/{order}/")
    assert (mail.to, mail.subject) == (JANE, f"Your order {order}")
    assert mail.sender == "shop@example.org"
    assert "Jane Doe" in mail.html
    assert room.mailbox.mails == []
    assert await room.published(order) == [("SENT", 1)]


@pytest.mark.parametrize(
    "other",
    [
        {"customer_name": "Mallory"},
        {"customer_email": "mallory@example.org"},
        {"created_at": datetime(1970, 1, 1, tzinfo=UTC)},
        {"order_id": uuid4()},
    ],
)
async def test_a_mail_that_says_something_else_has_another_key(
    room: MailRoom, other: dict[str, object]
) -> None:
    """And a rebuild, which makes a notification of its own, changes no key."""
    notification = await room.of(await room.order(JANE, "Jane Doe"))
    again = await room.of(notification.order_id)
    again.id = uuid4()
    assert channels.key(again) == channels.key(notification)

    for name, value in other.items():
        setattr(again, name, value)

    assert channels.key(again) != channels.key(notification)


@BOTH
@pytest.mark.parametrize(
    "deed",
    [
        pytest.param(LOST_ANSWER, id="taken, and the answer lost"),
        pytest.param(LOST_REQUEST, id="lost before it is taken"),
        pytest.param(NEVER_ANSWERED, id="taken, and never answered"),
        pytest.param(Deed(503, takes=True), id="taken, and answered 503"),
        pytest.param(Deed(409), id="the request before it is not done"),
    ],
)
async def test_a_mail_of_which_nobody_knows_arrives_once_however_often_it_is_sent(
    room: MailRoom, deed: Deed, policy: Policy
) -> None:
    api, order, dispatcher = room.api(), await room.order(), room.dispatcher(policy)
    api.deeds[""] = deed

    for _ in range(4):
        assert await attempt(dispatcher)
        assert (await room.of(order)).state == State.UNKNOWN
        await room.time_passes()
    api.deeds.clear()
    await dispatcher.step()

    assert len(api.to(JANE)) == 1
    assert api.asked == api.asked[:1] * 5
    assert await room.published(order) == [("UNKNOWN", 1), ("SENT", 2)]


async def test_what_is_unknown_waits_longer_each_time_and_never_two_minutes_at_first(
    room: MailRoom,
) -> None:
    room.api().deeds[""] = NEVER_ANSWERED
    order, waits = await room.order(), []

    for _ in range(3):
        await room.time_passes()
        now = datetime.now(UTC)
        await attempt(room.dispatcher())
        waits.append(ahead((await room.of(order)).due_at, now) / timedelta(seconds=1))

    for longest, wait in zip((1, 2, 4), waits, strict=True):
        assert longest / 2 <= wait <= longest + 2


@BOTH
async def test_what_a_dead_process_was_sending_is_sent_again_at_once(
    room: MailRoom, policy: Policy
) -> None:
    api, order = room.api(), await room.order()
    await room.claimed(keyed=True)
    dispatcher = room.dispatcher(policy)

    await dispatcher.reclaim()
    await dispatcher.step()

    assert await room.published(order) == [("UNKNOWN", 1), ("SENT", 2)]
    assert len(api.to(JANE)) == 1


async def test_a_mail_that_is_refused_for_good_has_failed(room: MailRoom) -> None:
    order = await room.order()
    room.api().deeds[""] = Deed(422)

    assert await attempt(room.dispatcher()) == ""

    notification = await room.of(order)
    assert notification.state == State.FAILED
    assert notification.reason == '422 {"message": "said with 422"}'
    assert await room.published(order) == [("FAILED", 1)]


async def test_a_mail_that_may_have_been_taken_before_it_was_refused_is_held(
    room: MailRoom,
) -> None:
    """It may be the key that is refused: the mail was worded otherwise the first time."""
    api, order, dispatcher = room.api(), await room.order(), room.dispatcher()
    api.deeds[""] = LOST_ANSWER
    await attempt(dispatcher)
    api.deeds[""] = Deed(422)
    await room.time_passes()

    await dispatcher.step()

    assert await room.published(order) == [("UNKNOWN", 1), ("HELD", 2)]
    assert "422" in ((await room.of(order)).reason or "")


@pytest.mark.parametrize("status", [401, 429])
async def test_a_mail_that_is_refused_for_now_waits_and_nothing_is_told(
    room: MailRoom, status: int
) -> None:
    api, order, dispatcher = room.api(), await room.order(), room.dispatcher()
    api.deeds[""] = Deed(status)

    assert str(status) in await attempt(dispatcher)

    assert (await room.of(order)).state == State.READY
    api.deeds.clear()
    await room.time_passes()
    await dispatcher.step()
    assert await room.published(order) == [("SENT", 1)]


@pytest.mark.parametrize(
    "since",
    [
        pytest.param(-KEY_KEPT, id="for too long"),
        pytest.param(LEASE + timedelta(hours=1), id="when the clock was ahead"),
    ],
)
async def test_what_is_unknown_for_longer_than_its_key_is_known_is_held(
    room: MailRoom, since: timedelta
) -> None:
    api, order, dispatcher = room.api(), await room.order(), room.dispatcher()
    api.deeds[""] = LOST_ANSWER
    await attempt(dispatcher)
    asked = len(api.asked)
    await room.set(in_doubt_since=datetime.now(UTC) + since, due_at=datetime.now(UTC))

    await dispatcher.step()

    assert (await room.of(order)).state == State.HELD
    assert len(api.asked) == asked
    assert await room.published(order) == [("UNKNOWN", 1), ("HELD", 2)]


async def test_what_is_unknown_for_less_long_is_sent_again(room: MailRoom) -> None:
    api, order, dispatcher = room.api(), await room.order(), room.dispatcher()
    api.deeds[""] = LOST_ANSWER
    await attempt(dispatcher)
    api.deeds.clear()
    late = datetime.now(UTC) - KEY_KEPT + timedelta(minutes=1)
    await room.set(in_doubt_since=late, due_at=datetime.now(UTC))

    await dispatcher.step()

    assert await room.published(order) == [("UNKNOWN", 1), ("SENT", 2)]


async def test_another_component_is_noticed_before_the_next_mail(
    room: MailRoom,
) -> None:
    orders, dispatcher = [await room.order() for _ in range(3)], room.dispatcher()

    await dispatcher.step()
    api = room.api()
    await dispatcher.step()
    room.dapr.apis.clear()
    await dispatcher.step()

    assert [len(await room.published(each)) for each in orders] == [1, 1, 1]
    assert (len(room.mailbox.mails), len(api.taken)) == (2, 1)


async def test_what_is_unknown_by_one_way_and_goes_on_by_the_other_is_sent_once_more(
    room: MailRoom,
) -> None:
    order, dispatcher = await room.order(), room.dispatcher()
    room.mailbox.acts["DOT"] = DROP
    await attempt(dispatcher)
    api = room.api()
    await room.time_passes()

    await dispatcher.step()

    assert (len(room.mailbox.mails), len(api.taken)) == (1, 1)
    assert await room.published(order) == [("UNKNOWN", 1), ("SENT", 2)]


async def test_while_nobody_says_by_which_way_a_mail_that_is_unknown_keeps_its_key(
    room: MailRoom,
) -> None:
    """Wherever the service ends meanwhile: it has claimed nothing."""
    api, order, dispatcher = room.api(), await room.order(), room.dispatcher()
    api.deeds[""] = LOST_ANSWER
    await attempt(dispatcher)
    await room.time_passes()
    before = await room.of(order)
    room.dapr.running = False
    await refuses(room.database, "UPDATE", "notification")

    assert "does not answer" in await attempt(dispatcher)

    after = await room.of(order)
    assert (after.state, after.keyed) == (State.UNKNOWN, True)
    assert (after.owner, after.attempt) == (before.owner, before.attempt)


async def test_without_a_component_for_mails_they_wait_and_say_why(
    room: MailRoom,
) -> None:
    order, dispatcher, mailbox = await room.order(), room.dispatcher(), room.mailbox
    room.dapr.bindings.clear()

    assert "has no binding `email`" in await attempt(dispatcher)

    waiting = await room.of(order)
    assert (waiting.state, waiting.attempt) == (State.READY, 0)
    room.dapr.bindings["email"] = mailbox
    await room.time_passes()
    await dispatcher.step()
    assert await room.published(order) == [("SENT", 1)]


async def test_the_service_sends_by_an_api_what_its_sidecar_has_one_for(
    room: MailRoom, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    api, order = room.api(), await room.order()

    async with notification_service(tmp_path, dapr):

        async def is_sent() -> bool:
            return (await room.of(order)).state == State.SENT

        await eventually(is_sent, "it is sent")

    (mail,) = api.taken.values()
    assert (mail.to, mail.sender) == (JANE, "Orders <orders@localhost>")
