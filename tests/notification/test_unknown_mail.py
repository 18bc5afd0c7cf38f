"""Mails of which nobody knows: sent once more, later, or held; and never two at once."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from chassis.dapr.sidecar import Sidecar
from services.notification.channels import Mail
from services.notification.dispatcher import ABANDONED_WAIT, Dispatcher
from services.notification.model import State
from tests.notification.mail_room import MailRoom, ahead, attempt
from tests.support.carried import Carried
from tests.support.mail_server import DROP, HANG, Act

SMTP = {"name": "email", "type": "bindings.smtp"}
ALL_OF_A_MOMENT = timedelta(seconds=2)


@pytest.mark.parametrize(
    ("act", "shortest", "longest"),
    [
        pytest.param(
            HANG, ABANDONED_WAIT - ALL_OF_A_MOMENT, ABANDONED_WAIT, id="time-out"
        ),
        pytest.param(DROP, timedelta(0), ALL_OF_A_MOMENT, id="lost connection"),
    ],
)
async def test_a_mail_of_which_nobody_knows_is_sent_once_more_and_not_at_once(
    room: MailRoom, act: Act, shortest: timedelta, longest: timedelta
) -> None:
    order = await room.order()
    room.mailbox.acts["DOT"] = act
    dispatcher, now = room.dispatcher(), datetime.now(UTC)

    assert await attempt(dispatcher)

    notification = await room.of(order)
    assert notification.state == State.UNKNOWN
    assert shortest <= ahead(notification.due_at, now) <= longest + ALL_OF_A_MOMENT
    assert await attempt(dispatcher)
    assert len(room.mailbox.mails) == 1
    room.mailbox.acts.clear()
    await room.time_passes()
    await dispatcher.step()
    assert len(room.mailbox.mails) == 2
    assert await room.published(order) == [("UNKNOWN", 1), ("SENT", 2)]


async def test_a_mail_that_is_unknown_again_is_held(room: MailRoom) -> None:
    order = await room.order()
    room.mailbox.acts["DOT"] = DROP
    dispatcher = room.dispatcher()

    for _ in range(4):
        await attempt(dispatcher)
        await room.time_passes()

    assert (await room.of(order)).state == State.HELD
    assert len(room.mailbox.mails) == 2
    assert await room.published(order) == [("UNKNOWN", 1), ("HELD", 2)]
    assert await attempt(dispatcher) == ""


@pytest.mark.parametrize("act", [HANG, DROP], ids=["time-out", "lost connection"])
async def test_where_mails_are_held_one_of_which_nobody_knows_is_never_sent_again(
    room: MailRoom, act: Act
) -> None:
    order = await room.order()
    room.mailbox.acts["DOT"] = act
    dispatcher = room.dispatcher("hold")

    await attempt(dispatcher)

    room.mailbox.acts.clear()
    await room.time_passes()
    assert not await dispatcher.step()
    assert (await room.of(order)).state == State.HELD
    assert len(room.mailbox.mails) == 1
    assert await room.published(order) == [("HELD", 1)]


async def test_before_every_mail_the_sidecar_is_asked(room: MailRoom) -> None:
    """One that stood still has begun with the mail before it then."""
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path.removeprefix("/v1.0/"))
        if request.method == "GET":
            return httpx.Response(200, json={"components": [SMTP]})
        if len(asked) == 4:
            raise httpx.ReadTimeout("no answer", request=request)
        return httpx.Response(204)

    for _ in range(3):
        await room.order()
    async with Sidecar(
        "http://dapr", wire=Carried(httpx.MockTransport(answer))
    ) as sidecar:
        mail = Mail(sidecar, "email", "shop@example.org")
        dispatcher = Dispatcher(room.database, mail)
        for _ in range(3):
            await attempt(dispatcher)

    assert asked == ["metadata", "bindings/email"] * 3
