"""Releases: what is held or has failed is sent after all, with who decided so and why, and once for each."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from threading import Barrier
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from chassis.database.engine import WRITERS
from services.notification.commands.release_notification import (
    NotReleasable,
    ReleaseNotification,
    release_notification,
)
from services.notification.model import State
from tests.notification.mail_room import JANE, ORDERED_AT, MailRoom, attempt
from tests.support.database import break_commits, followed, mend_commits
from tests.support.eventually import eventually
from tests.support.mail_api import LOST_ANSWER
from tests.support.mail_server import DROP, Act
from tests.support.services import Service, notification_service, order_service
from tests.support.simulated_dapr import SimulatedDapr

WHY = {"by": "Ada Lovelace", "reason": "The customer says that no mail came."}
VERSION = 217_000_000
"""As a rebuild gives it."""
COMMAND = ReleaseNotification.model_validate(WHY)


@pytest.fixture
async def service(
    room: MailRoom, tmp_path: Path, dapr: SimulatedDapr
) -> AsyncIterator[Service]:
    """Run the notification service on the room's database; its sidecar has nothing that could send a mail."""
    kept = dict(dapr.bindings)
    dapr.bindings.clear()
    async with notification_service(tmp_path, dapr) as running:
        yield running
    dapr.bindings |= kept


async def post(
    service: Service, order: UUID, key: str = "", why: object = WHY
) -> httpx.Response:
    """Release the notification for an order through the API."""
    headers = {"idempotency-key": key} if key else {}
    url = f"/api/notification/{order}/release"
    return await service.http.post(url, json=why, headers=headers)


async def release(room: MailRoom, order: UUID) -> None:
    """Release the notification for an order."""
    await room.database.write(
        lambda session: release_notification(order, COMMAND, session)
    )


async def restored(room: MailRoom, email: str | None = JANE) -> UUID:
    """Have a notification as a rebuild leaves it."""
    return await room.order(email, state=State.HELD, version=VERSION)


async def test_a_mail_that_is_held_is_sent_once_it_is_released(room: MailRoom) -> None:
    order, dispatcher = await room.order(), room.dispatcher("hold")
    room.mailbox.acts["DOT"] = DROP
    await attempt(dispatcher)
    room.mailbox.acts.clear()
    assert not await dispatcher.step()

    await release(room, order)
    await dispatcher.step()

    assert await room.published(order) == [("HELD", 1), ("RELEASED", 2), ("SENT", 3)]
    assert len(room.mailbox.mails) == 2


async def test_a_mail_that_has_failed_is_sent_once_it_is_released(
    room: MailRoom,
) -> None:
    order, dispatcher = await room.order(), room.dispatcher()
    room.mailbox.acts["RCPT"] = Act("550 no such user")
    await attempt(dispatcher)
    room.mailbox.acts.clear()

    await release(room, order)
    await dispatcher.step()

    assert await room.published(order) == [("FAILED", 1), ("RELEASED", 2), ("SENT", 3)]
    assert len(room.mailbox.mails) == 1


async def test_a_mail_of_which_nobody_knows_again_is_held_again(room: MailRoom) -> None:
    order, dispatcher = await room.order(), room.dispatcher("hold")
    room.mailbox.acts["DOT"] = DROP
    await attempt(dispatcher)

    await release(room, order)
    await attempt(dispatcher)

    assert await room.published(order) == [("HELD", 1), ("RELEASED", 2), ("HELD", 3)]


async def test_a_mail_that_is_released_keeps_its_key(room: MailRoom) -> None:
    api, order, dispatcher = room.api(), await room.order(), room.dispatcher()
    api.deeds[""] = LOST_ANSWER
    await attempt(dispatcher)
    api.deeds.clear()
    await room.set(state=State.HELD)

    await release(room, order)
    await dispatcher.step()

    first, second = api.asked
    assert first == second
    assert first.startswith(f"order-created/{order}/")
    assert len(api.to(JANE)) == 1
    assert (await room.of(order)).state == State.SENT


async def test_what_was_in_doubt_for_long_is_so_no_more_when_it_is_released(
    room: MailRoom,
) -> None:
    api, order, dispatcher = room.api(), await room.order(), room.dispatcher()
    await room.set(state=State.HELD, in_doubt_since=ORDERED_AT)

    await release(room, order)
    await dispatcher.step()

    assert len(api.to(JANE)) == 1
    assert (await room.of(order)).in_doubt_since is None


async def test_a_mail_that_was_refused_for_days_has_days_again_when_it_is_released(
    room: MailRoom,
) -> None:
    order = await room.order(state=State.FAILED, refused_since=ORDERED_AT)
    room.mailbox.acts["RCPT"] = Act("450 busy")

    await release(room, order)
    await attempt(room.dispatcher())

    assert (await room.of(order)).state == State.READY


@pytest.mark.parametrize("email", [None, JANE])
async def test_what_a_rebuild_has_restored_is_sent_once_it_is_released(
    room: MailRoom, email: str | None, capfd: pytest.CaptureFixture[str]
) -> None:
    order = await restored(room, email)

    await release(room, order)
    if email:
        await room.dispatcher().step()
    await followed(room.database)

    notification = await room.of(order)
    assert (notification.state, notification.attempt) == (State.SENT, 1)
    assert (notification.due_at, notification.reason) == (None, None)
    assert await room.published(order) == [
        ("RELEASED", VERSION + 1),
        ("SENT", VERSION + 2),
    ]
    assert capfd.readouterr().out == f"{notification.text}\n"


async def test_what_is_released_on_the_console_is_sent_with_that_or_not_at_all(
    room: MailRoom, capfd: pytest.CaptureFixture[str]
) -> None:
    order = await restored(room, None)
    await break_commits(room.database)

    with pytest.raises(DBAPIError):
        await release(room, order)

    await mend_commits(room.database)
    await followed(room.database)
    assert (await room.of(order)).state == State.HELD
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize(
    "state", [State.READY, State.SENDING, State.SENT, State.UNKNOWN]
)
async def test_nothing_else_can_be_released(room: MailRoom, state: State) -> None:
    order = await room.order()
    await room.set(state=state)

    with pytest.raises(NotReleasable, match=state):
        await release(room, order)

    assert (await room.of(order)).state == state
    assert await room.published(order) == []


async def test_of_many_who_release_it_at_once_one_does(room: MailRoom) -> None:
    order = await restored(room)
    # As many transactions as there can be at once, and none goes on before all of them have begun.
    begun = Barrier(WRITERS if room.database.is_shared else 1)

    def together(session: Session) -> None:
        session.connection()
        begun.wait(10)
        release_notification(order, COMMAND, session)

    done = await asyncio.gather(
        *(room.database.write(together) for _ in range(WRITERS)), return_exceptions=True
    )

    assert sum(each is None for each in done) == 1
    assert sum(isinstance(each, NotReleasable) for each in done) == WRITERS - 1
    assert await room.published(order) == [("RELEASED", VERSION + 1)]


async def test_who_released_it_and_why_is_kept_and_shown(
    room: MailRoom, service: Service
) -> None:
    order = await restored(room)

    answer = await post(service, order)

    assert answer.status_code == 200
    assert answer.json()["state"] == "READY"
    shown = (await service.http.get(f"/api/notification/{order}")).json()
    assert (shown["releasedBy"], shown["releaseReason"]) == tuple(WHY.values())
    assert shown["releasedAt"] == answer.json()["releasedAt"]


async def test_what_cannot_be_released_is_named(
    room: MailRoom, service: Service
) -> None:
    order = await room.order()

    assert (await post(service, uuid4())).status_code == 404
    answer = await post(service, order)

    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:problem-type:not-releasable"


@pytest.mark.parametrize("wrong", [{}, {"by": "Ada"}, {"by": " ", "reason": "why"}])
async def test_nobody_releases_without_a_name_and_a_reason(
    room: MailRoom, service: Service, wrong: object
) -> None:
    order = await restored(room)

    assert (await post(service, order, why=wrong)).status_code == 422
    assert (await room.of(order)).state == State.HELD


async def test_a_release_that_is_sent_again_is_carried_out_once(
    room: MailRoom, service: Service
) -> None:
    order = await restored(room)

    answers = [await post(service, order, "a") for _ in range(3)]

    assert {each.status_code for each in answers} == {200}
    assert len({each.text for each in answers}) == 1
    assert await room.published(order) == [("RELEASED", VERSION + 1)]


async def test_the_order_shows_what_became_of_a_release(
    room: MailRoom, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    async with (
        order_service(tmp_path, dapr) as order,
        notification_service(tmp_path, dapr) as notification,
    ):
        room.mailbox.acts["RCPT"] = Act("550 no such user")
        body = {"customerName": "Jane", "customerEmail": JANE}
        placed = await order.http.post("/api/order", json=body)
        order_id = placed.json()["orderId"]
        await _shows(order, order_id, "FAILED")
        room.mailbox.acts["RCPT"] = Act("421 busy")

        await post(notification, order_id)

        await _shows(order, order_id, "WAITING")
        room.mailbox.acts.clear()
        await _shows(order, order_id, "SENT")


async def _shows(order: Service, order_id: UUID, state: str) -> None:
    async def shown() -> bool:
        found = (await order.http.get(f"/api/order/{order_id}")).json()
        return bool(found["notification"]["state"] == state)

    await eventually(shown, f"the order shows {state}")
