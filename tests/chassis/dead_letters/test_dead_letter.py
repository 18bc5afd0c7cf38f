"""Dead letters: what could not be taken in is shown as it came, and is tried again, once, or for show."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import event, update

from chassis.dead_letters.replay import LAST
from chassis.inbox.dead_letter import State, dead_letter
from chassis.inbox.inbox import inbox
from services.notification.model import Channel, Notification, signal_of
from tests.support.delivering import deliver, order_created, rows
from tests.support.letters import (
    REACTION,
    STRICT,
    everything,
    hears_strictly,
    is_refused,
    kept,
    kept_event,
    listed,
    replay,
)
from tests.support.services import Service

OPEN, REPLAYED = State.OPEN, State.REPLAYED


def who_is_woken(service: Service, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note the signals that a service's commits give from now on."""
    woken: list[str] = []

    def signal(name: str) -> asyncio.Event:
        woken.append(name)
        return asyncio.Event()

    monkeypatch.setattr(service.database, "signal", signal)
    return woken


@contextmanager
def written(service: Service) -> Iterator[list[str]]:
    """Note every statement that a service's database is given meanwhile."""
    statements: list[str] = []

    def note(*given: Any) -> None:  # noqa: ANN401 - what SQLAlchemy hands over
        statements.append(given[2])

    engine = service.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    yield statements
    event.remove(engine, "before_cursor_execute", note)


async def test_a_dead_letter_is_shown_as_it_came(notification: Service) -> None:
    await deliver(notification, b'{"name": "J\xc3\xb6rg \xff\xfe\0"}')

    (shown,) = (await listed(notification))["items"]

    assert shown["body"] == '{"name": "Jörg \\xff\\xfe\0"}'
    assert shown["reaction"] == REACTION
    assert "Invalid JSON" in shown["reason"]
    assert (shown["state"], shown["attempts"]) == ("OPEN", 1)
    assert shown["replayedAt"] is None


async def test_dead_letters_come_newest_first_a_page_at_a_time(
    notification: Service,
) -> None:
    for number in range(5):
        await deliver(notification, f"no event {number}".encode())

    first = await listed(notification, "?limit=2")
    second = await listed(notification, f"?limit=2&cursor={first['next']}")
    last = await listed(notification, f"?limit=2&cursor={second['next']}")

    pages = [[each["body"] for each in page["items"]] for page in (first, second, last)]
    assert pages == [
        ["no event 4", "no event 3"],
        ["no event 2", "no event 1"],
        ["no event 0"],
    ]
    assert last["next"] is None


async def test_dead_letters_of_one_state_are_listed_alone(
    notification: Service,
) -> None:
    opened, (tried, _) = await kept(notification, b"-"), await kept_event(notification)
    await replay(notification, tried)

    for state, letter in ((OPEN, opened), (REPLAYED, tried)):
        (shown,) = (await listed(notification, f"?state={state}"))["items"]
        assert shown["id"] == letter


@pytest.mark.parametrize(
    "query",
    [
        "state=GONE",
        "limit=0",
        "limit=201",
        f"cursor={LAST + 1}",
        "cursor=-1",
        "cursor=x",
    ],
)
async def test_a_list_that_cannot_be_is_refused(
    notification: Service, query: str
) -> None:
    is_refused(
        await notification.http.get(f"/api/dead-letter?{query}"), 422, "invalid-request"
    )


async def test_a_dead_letter_is_taken_in_once(notification: Service) -> None:
    letter, event_id = await kept_event(notification)

    answer = await replay(notification, letter)
    again = await replay(notification, letter)

    assert answer.status_code == 200
    assert answer.json() == {"id": letter, "outcome": "taken in", "dryRun": False}
    detail = is_refused(again, 409, "already-settled")
    assert detail == f"Dead letter {letter} is REPLAYED already."
    assert await rows(notification, Notification.caused_by) == [(event_id,)]
    assert await rows(notification, inbox.c.event_id) == [(event_id,)]
    (shown,) = (await listed(notification))["items"]
    assert (shown["state"], shown["attempts"]) == ("REPLAYED", 2)
    assert shown["replayedAt"] is not None


async def test_a_dry_run_leaves_nothing_behind(
    notification: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    letter, _ = await kept_event(notification)
    before = await everything(notification)
    woken = who_is_woken(notification, monkeypatch)

    with written(notification) as statements:
        await replay(notification, letter, "?dryRun=true")
        answer = await replay(notification, letter, "?dryRun=true")

    assert answer.status_code == 200
    assert answer.json() == {"id": letter, "outcome": "taken in", "dryRun": True}
    assert any("INSERT INTO notification" in each for each in statements)
    assert woken == []
    assert await everything(notification) == before
    assert (await replay(notification, letter)).json()["outcome"] == "taken in"


async def test_a_replay_wakes_whoever_sends(
    notification: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    letter, _ = await kept_event(notification)
    woken = who_is_woken(notification, monkeypatch)

    await replay(notification, letter)

    assert signal_of(Channel.CONSOLE) in woken


@pytest.mark.parametrize("query", ["", "?dryRun=true"])
async def test_a_letter_whose_event_came_meanwhile_is_not_taken_in_again(
    notification: Service, query: str
) -> None:
    made = order_created()
    letter = await kept(notification, json.dumps(made).encode())
    await deliver(notification, made)

    answer = await replay(notification, letter, query)

    assert answer.json()["outcome"] == "was taken in before"
    assert len(await rows(notification, Notification.id)) == 1
    state = OPEN if query else REPLAYED
    assert await rows(notification, dead_letter.c.state) == [(state,)]


async def test_a_letter_that_holds_its_events_key_is_taken_in_by_it(
    notification: Service,
) -> None:
    first = order_created()
    await hears_strictly(notification, first, {**first, "id": "second"})
    notification.app.state.reactions[REACTION] = STRICT
    is_refused(await replay(notification, 1), 422, "still-fails")
    async with notification.database.write() as session:
        await session.execute(update(Notification).values(order_id=uuid4()))

    assert (await replay(notification, 1)).json()["outcome"] == "taken in"

    caused = await rows(notification, Notification.caused_by)
    assert sorted(caused) == sorted([(first["id"],), ("second",)])
    assert len(await rows(notification, inbox.c.event_id)) == 2


@pytest.mark.parametrize("body", [b"\xff", b"[" * 60_000, b"{}"])
async def test_a_letter_that_still_fails_says_why_and_only_the_attempt_is_counted(
    notification: Service, body: bytes
) -> None:
    letter = await kept(notification, body)
    before = await everything(notification)

    for query in ("?dryRun=true", ""):
        assert await everything(notification) == before
        answer = await replay(notification, letter, query)
        detail = is_refused(answer, 422, "still-fails")
        assert detail.startswith("it is no CloudEvent as it should be")

    (shown,) = (await listed(notification))["items"]
    assert (shown["state"], shown["attempts"]) == ("OPEN", 2)
    assert (await everything(notification))[1:] == before[1:]


@pytest.mark.parametrize("letter", [7, 0, -1, LAST, LAST + 1, -(10**30), 10**30])
async def test_a_letter_that_is_not_there_is_said(
    notification: Service, letter: int
) -> None:
    detail = is_refused(
        await replay(notification, letter), 404, "dead-letter-not-found"
    )

    assert detail == f"There is no dead letter {letter}."


@pytest.mark.parametrize("letter", ["x", "1.5", "%00", "9" * 5000])
async def test_what_is_no_id_is_named(notification: Service, letter: str) -> None:
    detail = is_refused(await replay(notification, letter), 422, "invalid-request")

    assert detail.startswith("id: ")


async def test_a_letter_of_a_reaction_that_is_gone_stays(notification: Service) -> None:
    letter, _ = await kept_event(notification, "greet_customer_on_order_created")
    before = await everything(notification)

    answer = await replay(notification, letter)

    detail = is_refused(answer, 409, "not-replayable")
    assert detail == "No reaction here is called greet_customer_on_order_created."
    assert await everything(notification) == before


@pytest.mark.parametrize("query", ["", "?dryRun=true"])
async def test_of_many_who_try_a_letter_at_once_one_wins(
    notification: Service, query: str
) -> None:
    letter, _ = await kept_event(notification)

    answers = await asyncio.gather(
        replay(notification, letter),
        *(replay(notification, letter, query) for _ in range(7)),
    )

    outcomes = [(each.status_code, each.json().get("dryRun")) for each in answers]
    assert outcomes.count((200, False)) == 1
    assert {status for status, _ in outcomes} <= {200, 409}
    assert len(await rows(notification, Notification.id)) == 1
    assert await rows(notification, dead_letter.c.attempts) == [(2,)]
