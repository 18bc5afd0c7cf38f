"""How a dead letter ends: it is looked at, and replayed or discarded, once, by one of those who try."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import delete, update
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.cloud_event import CloudEvent
from chassis.database.transient import DatabaseAway
from chassis.inbox.dead_letter import dead_letter
from chassis.inbox.inbox import Reaction, inbox
from chassis.runtime import clock
from chassis.service.retention import INBOX_KEPT, forget_taken_in
from contracts.order_created import OrderCreated
from services.notification.model import Notification
from tests.support.delivering import CAUSE, deliver, order_created, rows
from tests.support.letters import (
    REACTION,
    everything,
    hears_strictly,
    is_refused,
    kept,
    kept_event,
    listed,
    replay,
)
from tests.support.services import Service

WHY = {"reason": "A test of the broker", "by": "jane"}


async def discard(service: Service, letter: object, **given: Any) -> httpx.Response:  # noqa: ANN401 - httpx's
    """Discard a dead letter."""
    url = f"/api/dead-letter/{letter}/discard"
    return await service.http.post(url, **{"json": WHY, **given})


async def shown(service: Service, letter: int) -> dict[str, Any]:
    """Ask for one dead letter."""
    answer = await service.http.get(f"/api/dead-letter/{letter}")
    assert answer.status_code == 200
    return dict(answer.json())


def breaks(service: Service, error: Exception) -> None:
    """Let the reaction fail from now on."""

    async def act(_: OrderCreated, __: CloudEvent, ___: AsyncSession) -> None:
        raise error

    broken: Reaction[Any] = Reaction(OrderCreated, act, known_as=REACTION)
    service.app.state.reactions[REACTION] = broken


async def test_one_letter_is_shown_with_what_came_and_its_trace(
    notification: Service,
) -> None:
    first = order_created()
    second = {**first, "id": "second"}
    await hears_strictly(notification, first, second)

    letter = await shown(notification, 1)

    assert json.loads(letter.pop("body")) == second
    assert letter.pop("receivedAt").endswith("Z")
    assert "unique" in letter.pop("reason").lower()
    assert letter == {
        **dict.fromkeys(["replayedAt", "discardedAt", "discardedBy"]),
        "id": 1,
        "reaction": REACTION,
        "state": "OPEN",
        "attempts": 1,
        "eventId": "second",
        "traceparent": CAUSE,
        "discardedBecause": None,
    }


@pytest.mark.parametrize(
    ("body", "trace"),
    [
        (b"\xff", None),
        (b"[7]", None),
        (b"{}", None),
        (b"[" * 60_000, None),
        (b'{"traceparent": 7}', None),
        (b'{"traceid": "a-trace"}', "a-trace"),
        (b'{"traceparent": "one", "traceid": "other"}', "one"),
        (b'{"traceparent": "\\ud800\\u0000\\n"}', r"\xd800\x00"),
    ],
)
async def test_a_trace_is_shown_where_there_is_one(
    notification: Service, body: bytes, trace: str | None
) -> None:
    letter = await kept(notification, body)

    assert (await shown(notification, letter))["traceparent"] == trace


async def test_letters_of_one_reaction_come_oldest_first_where_that_is_asked(
    notification: Service,
) -> None:
    for number in range(3):
        await kept(notification, b"-", "another")
        await kept(notification, str(number).encode())
    query = f"?reaction={REACTION}&oldestFirst=true&limit=2"

    first = await listed(notification, query)
    second = await listed(notification, f"{query}&cursor={first['next']}")

    bodies = [each["body"] for page in (first, second) for each in page["items"]]
    assert bodies == ["0", "1", "2"]
    assert second["next"] is None


@pytest.mark.parametrize("query", ["reaction=", "reaction=a%00b", "oldestFirst=x"])
async def test_a_list_that_cannot_be_asked_for_is_refused(
    notification: Service, query: str
) -> None:
    answer = await notification.http.get(f"/api/dead-letter?{query}")

    is_refused(answer, 422, "invalid-request")


async def test_a_letter_that_is_discarded_says_who_when_and_why(
    notification: Service,
) -> None:
    letter, _ = await kept_event(notification)

    answer = await discard(notification, letter)

    assert answer.status_code == 200
    told = await shown(notification, letter)
    assert {**answer.json(), "traceparent": CAUSE} == told
    assert (told["state"], told["discardedBy"]) == ("DISCARDED", "jane")
    assert told["discardedBecause"] == "A test of the broker"
    assert told["discardedAt"].endswith("Z")
    assert await rows(notification, Notification.id) == []


async def test_what_is_settled_stays_as_it_is(notification: Service) -> None:
    discarded, _ = await kept_event(notification)
    replayed, _ = await kept_event(notification)
    await discard(notification, discarded)
    await replay(notification, replayed)
    before = await everything(notification)

    for letter, state in ((discarded, "DISCARDED"), (replayed, "REPLAYED")):
        for answer in (
            await discard(notification, letter),
            await replay(notification, letter),
            await replay(notification, letter, "?dryRun=true"),
        ):
            detail = is_refused(answer, 409, "already-settled")
            assert detail == f"Dead letter {letter} is {state} already."

    assert await everything(notification) == before


async def test_the_event_of_a_letter_that_is_discarded_is_not_taken_in_again(
    notification: Service,
) -> None:
    first = order_created()
    second = {**first, "id": "second"}
    await hears_strictly(notification, first, second)
    await discard(notification, 1)
    before = await everything(notification)

    assert await deliver(notification, second) == "SUCCESS"

    assert await everything(notification) == before
    assert len(await rows(notification, inbox.c.event_id)) == 2


@pytest.mark.parametrize("letter", [7, 0, -1, 10**30])
async def test_what_is_not_there_is_neither_shown_nor_discarded(
    notification: Service, letter: int
) -> None:
    answer = await notification.http.get(f"/api/dead-letter/{letter}")

    assert is_refused(answer, 404, "dead-letter-not-found")
    is_refused(await discard(notification, letter), 404, "dead-letter-not-found")


@pytest.mark.parametrize(
    "body",
    [
        *({}, [], None, {"reason": "x"}, {"by": "jane"}, {**WHY, "more": 1}),
        *({**WHY, "reason": each} for each in ("", " ", 7, None, "a\nb", "a\0b")),
        *({**WHY, "by": each} for each in ("", "x" * 201, ["jane"])),
        {**WHY, "reason": "x" * 1001},
    ],
    ids=lambda body: str(body)[:40],
)
async def test_nobody_discards_without_a_name_and_a_reason(
    notification: Service, body: object
) -> None:
    letter, _ = await kept_event(notification)

    is_refused(await discard(notification, letter, json=body), 422, "invalid-request")

    assert (await shown(notification, letter))["state"] == "OPEN"


async def test_of_many_who_settle_a_letter_at_once_one_wins(
    notification: Service,
) -> None:
    letter, _ = await kept_event(notification)

    answers = await asyncio.gather(
        *(discard(notification, letter) for _ in range(4)),
        *(replay(notification, letter) for _ in range(4)),
    )

    assert sorted(each.status_code for each in answers) == [200] + [409] * 7


async def test_a_letter_is_discarded_once_for_each_key(notification: Service) -> None:
    letter, _ = await kept_event(notification)
    key = {"idempotency-key": "a"}

    first, again = [await discard(notification, letter, headers=key) for _ in range(2)]

    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json() == again.json()


async def test_a_letter_whose_reaction_has_a_bug_says_so_and_counts_the_attempt(
    notification: Service,
) -> None:
    letter, _ = await kept_event(notification)
    breaks(notification, ZeroDivisionError("division\nby zero"))

    for headers in ({}, {"idempotency-key": "a"}):
        url = f"/api/dead-letter/{letter}/replay"
        answer = await notification.http.post(url, headers=headers)
        detail = is_refused(answer, 422, "still-fails")
        assert detail == "ZeroDivisionError: division by zero"

    assert await rows(notification, dead_letter.c.attempts) == [(3,)]


async def test_a_replay_while_the_database_is_away_is_no_attempt(
    notification: Service,
) -> None:
    letter, _ = await kept_event(notification)
    breaks(notification, DatabaseAway("it is starting"))

    answer = await replay(notification, letter)

    is_refused(answer, 503, "database-unavailable")
    assert await rows(notification, dead_letter.c.attempts) == [(1,)]


async def test_the_key_of_a_letter_is_kept_as_long_as_the_letter(
    notification: Service,
) -> None:
    """However long ago that was: until then its event is not taken in otherwise."""
    first = order_created()
    others = [{**first, "id": each} for each in ("open", "discarded")]
    await hears_strictly(notification, first, *others)
    await discard(notification, 2)
    long_ago = clock.now() - INBOX_KEPT - timedelta(hours=1)

    async def swept() -> set[str]:
        async with notification.database.write() as session:
            await session.execute(update(inbox).values(taken_at=long_ago))
        async with notification.database.write() as session:
            await forget_taken_in(session)
        return {row.event_id for row in await rows(notification, inbox.c.event_id)}

    assert await swept() == {"open", "discarded"}
    async with notification.database.write() as session:
        mine = dead_letter.c.event_id == "discarded"
        await session.execute(delete(dead_letter).where(mine))
    assert await swept() == {"open"}
