"""Deciding about many: all that are held, or failed, for one reason, by one request or press, in small steps."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy.orm import Session

from chassis.text import without_addresses
from services.notification.commands import decide_about_many
from services.notification.commands.decide_about_many import (
    DecideAboutMany,
    carry_out_some,
)
from services.notification.model import State
from tests.notification.mail_room import MailRoom
from tests.notification.test_discard import OWN, kept, shown
from tests.support.eventually import eventually
from tests.support.services import Service

WHY = {"by": "Ada Lovelace", "reason": "The relay was closed."}
CLOSED, UNKNOWN = "550 5.7.1 <{}>: relay 10.0.0.{} is closed", "550 5.1.1 no such user"
URL = "/api/notification-decision"
Json = dict[str, Any]


def closed(number: int) -> str:
    """Return a reason that differs from others of its kind."""
    return CLOSED.format(f"jane{number}@example.org", number)


async def failed(room: MailRoom, *reasons: str) -> list[UUID]:
    """Have notifications that failed for these reasons; return their orders."""
    return [await room.order(state=State.FAILED, reason=each) for each in reasons]


async def decide(room: MailRoom, act: str = "release", **more: object) -> None:
    """Decide about all that failed."""
    given = {**WHY, "act": act, "state": State.FAILED, **more}
    command = DecideAboutMany.model_validate(given)

    def work(session: Session) -> None:
        decide_about_many.decide_about_many(command, session)

    await room.database.write(work)


async def states(room: MailRoom) -> dict[UUID, State]:
    """Return the states of all notifications by their orders."""
    return {each.order_id: each.state for each in await room.all()}


async def test_all_that_are_alike_are_released_with_who_and_why_and_no_others(
    room: MailRoom,
) -> None:
    full = closed(1).replace("550 5.7.1", "552 5.2.2")
    *alike, _, other = await failed(room, *map(closed, range(3)), full, UNKNOWN)
    held = await room.order(state=State.HELD, reason=closed(1))

    await decide(room, like=closed(7))
    assert await room.database.write(carry_out_some) is True
    assert await room.database.write(carry_out_some) is False

    found = await states(room)
    assert [found[each] for each in alike] == [State.READY] * 3
    assert [*found.values()].count(State.FAILED) == 2
    assert (found[other], found[held]) == (State.FAILED, State.HELD)
    released = await room.of(alike[0])
    assert released.released_by == WHY["by"]
    assert released.release_reason == WHY["reason"]
    assert await room.published(alike[0]) == [("RELEASED", 1)]


async def test_a_reason_with_an_address_means_those_that_are_stored_without(
    room: MailRoom,
) -> None:
    (order,) = await failed(room, without_addresses(closed(1)))

    await decide(room, like=closed(1))
    await room.database.write(carry_out_some)

    assert await states(room) == {order: State.READY}
    (decision,) = await room.database.read(
        lambda session: decide_about_many.find_newest(session, 1)
    )
    assert "@" not in (decision.like or "")


async def test_each_transaction_looks_at_some_and_at_each_once(
    room: MailRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What fails again for the same reason would be sent for ever."""
    monkeypatch.setattr(decide_about_many, "AT_ONCE", 2)
    orders = await failed(room, *map(closed, range(5)))
    await decide(room, like=closed(0))
    steps: list[int] = []

    while len(steps) < 5 and await room.database.write(carry_out_some):
        ready = [
            each for each, state in (await states(room)).items() if state == State.READY
        ]
        steps.append(len(ready))
        await room.set(*ready, state=State.FAILED)

    assert steps == [2, 2, 1]
    assert {each.version for each in await room.all()} == {1}
    later = await failed(room, closed(9))
    assert await room.database.write(carry_out_some) is False
    assert set(await states(room)) == {*orders, *later}


async def test_without_a_reason_all_of_a_state_are_discarded(room: MailRoom) -> None:
    orders = await failed(room, closed(1), UNKNOWN)

    await decide(room, "discard")
    await room.database.write(carry_out_some)

    assert await states(room) == dict.fromkeys(orders, State.DISCARDED)
    assert (await room.of(orders[0])).discarded_by == WHY["by"]


async def ended(service: Service, path: str) -> Json:
    """Wait until a decision is carried out."""

    async def is_ended() -> Json | None:
        found: Json = (await service.http.get(path)).json()
        return found if found["endedAt"] else None

    return await eventually(is_ended, "it is carried out")


async def test_one_request_decides_about_all_and_shows_how_far_it_is(
    notification: Service,
) -> None:
    orders = [await kept(notification, State.FAILED) for _ in range(3)]
    body = {**WHY, "act": "discard", "state": "FAILED"}
    key = {"idempotency-key": str(uuid4())}

    first, again = [
        await notification.http.post(URL, json=body, headers=key) for _ in "ab"
    ]

    assert first.status_code == 201
    assert first.json()["id"] == again.json()["id"]
    found = await ended(notification, f"/api/{first.headers['location']}")
    assert (found["done"], found["by"], found["reason"]) == (3, *WHY.values())
    assert {(await shown(notification, each))["state"] for each in orders} == {
        "DISCARDED"
    }


async def test_where_there_is_none_it_has_ended_at_once(notification: Service) -> None:
    body = {**WHY, "act": "release", "state": "HELD"}

    answer = await notification.http.post(URL, json=body)

    assert (answer.json()["done"], answer.json()["endedAt"] is None) == (0, False)
    assert (await notification.http.get(f"{URL}/{uuid4()}")).status_code == 404


@pytest.mark.parametrize(
    ("act", "state"), [("release", "UNKNOWN"), ("discard", "SENT")]
)
async def test_what_cannot_be_done_is_refused(
    notification: Service, act: str, state: str
) -> None:
    body = {**WHY, "act": act, "state": state}

    answer = await notification.http.post(URL, json=body)

    assert answer.status_code == 422
    assert f"to {act} what is {state} is not possible" in answer.text


async def test_one_press_on_the_page_decides_about_all_of_a_reason(
    notification: Service,
) -> None:
    orders = [await kept(notification, State.FAILED) for _ in range(2)]
    url = "/?state=FAILED"
    assert "Discard all of this reason" in (await notification.http.get(url)).text

    wrong = await notification.http.post(url, data={"act": "discard-all"}, headers=OWN)
    answer = await notification.http.post(
        url, data={**WHY, "act": "discard-all"}, headers=OWN
    )

    assert (answer.status_code, answer.headers["location"]) == (303, "?state=FAILED")
    assert (wrong.status_code, "Field required" in wrong.text) == (422, True)

    async def is_shown() -> bool:
        return "2 done" in (await notification.http.get(url)).text

    await eventually(is_shown, "it is carried out")
    assert {(await shown(notification, each))["state"] for each in orders} == {
        "DISCARDED"
    }
