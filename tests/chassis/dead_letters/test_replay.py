"""Replaying a dead letter: it is handled once, or for show, or it says why not."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from chassis.cloud_event import CloudEvent
from chassis.dead_letters.history import LARGEST_ID
from chassis.inbox.dead_letter import State, dead_letter
from chassis.inbox.parse import REMEMBERED
from chassis.inbox.reaction import inbox
from chassis.runtime import clock
from contracts.order_created import OrderCreated
from tests.chassis.dead_letters.letters import WHO, Letters, is_refused
from tests.support.delivering import order_created, signed

OPEN, REPLAYED = State.OPEN, State.REPLAYED


def breaks(letters: Letters, error: Exception) -> None:
    """Make the reaction write, and then fail with this error, from now on."""

    def act(_: OrderCreated, __: CloudEvent, session: Session) -> None:
        session.execute(text("INSERT INTO greeting VALUES ('half', 'half')"))
        raise error

    letters.act = act


def woken_by(letters: Letters, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect the signals that commits give from now on."""
    woken: list[str] = []

    def signal(name: str) -> asyncio.Event:
        woken.append(name)
        return asyncio.Event()

    monkeypatch.setattr(letters.database, "signal", signal)
    return woken


@contextmanager
def statements(letters: Letters) -> Iterator[list[str]]:
    """Collect every statement that the database is given meanwhile."""
    given: list[str] = []

    def note(*arguments: Any) -> None:  # noqa: ANN401 - SQLAlchemy's
        given.append(arguments[2])

    event.listen(letters.database.engine, "before_cursor_execute", note)
    yield given
    event.remove(letters.database.engine, "before_cursor_execute", note)


def both_of_one_order() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return two events about one order: a second greeting is refused by the database."""
    first = order_created()
    return first, signed({**first, "id": "second"})


async def test_a_dead_letter_is_handled_once(letters: Letters) -> None:
    letter, event_id = await letters.kept_event()

    answer = await letters.replay(letter)
    again = await letters.replay(letter)

    assert answer.status_code == 200
    assert answer.json() == {"id": letter, "outcome": "handled", "dryRun": False}
    detail = is_refused(again, 409, "already-settled")
    assert detail == f"Dead letter {letter} is REPLAYED already."
    assert await letters.greeted() == [event_id]
    assert await letters.rows(inbox.c.event_id) == [(event_id,)]
    shown = await letters.shown(letter)
    assert (shown["state"], shown["attempts"]) == ("REPLAYED", 2)
    assert shown["replayedAt"] is not None


@pytest.mark.parametrize("headers", [{}, {"idempotency-key": "a"}], ids=repr)
async def test_a_dry_run_leaves_nothing_behind(
    letters: Letters, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str]
) -> None:
    letter, _ = await letters.kept_event()
    before = await letters.everything()
    woken = woken_by(letters, monkeypatch)
    url = f"/api/dead-letter/{letter}/replay?dryRun=true"

    with statements(letters) as given:
        await letters.http.post(url, headers=headers)
        answer = await letters.http.post(url, headers=headers)

    assert answer.status_code == 200
    assert answer.json() == {"id": letter, "outcome": "handled", "dryRun": True}
    assert sum("INSERT INTO greeting" in each for each in given) == 2
    assert woken == []
    assert await letters.everything() == before
    assert (await letters.replay(letter)).json()["outcome"] == "handled"


async def test_a_dry_run_that_is_misspelt_is_refused_and_not_carried_out(
    letters: Letters,
) -> None:
    letter, _ = await letters.kept_event()

    for query in ("?dryrun=true", "?dry_run=true", "?dryRun=maybe"):
        is_refused(await letters.replay(letter, query), 422, "invalid-request")

    assert await letters.greeted() == []


async def test_a_replay_wakes_whoever_waits_for_what_it_did(
    letters: Letters, monkeypatch: pytest.MonkeyPatch
) -> None:
    letter, _ = await letters.kept_event()
    woken = woken_by(letters, monkeypatch)

    await letters.replay(letter)

    assert woken == ["greetings"]


@pytest.mark.parametrize("query", ["", "?dryRun=true"])
async def test_a_letter_whose_event_came_meanwhile_is_not_handled_again(
    letters: Letters, query: str
) -> None:
    made = order_created()
    letter = await letters.kept(json.dumps(made).encode())
    await letters.receive(made)

    answer = await letters.replay(letter, query)

    assert answer.json()["outcome"] == "was handled before"
    assert await letters.greeted() == [made["id"]]
    state = OPEN if query else REPLAYED
    assert await letters.rows(dead_letter.c.state) == [(state,)]


async def test_a_letter_that_holds_its_events_key_is_handled_by_it(
    letters: Letters,
) -> None:
    first, second = both_of_one_order()
    await letters.receive(first, second)
    is_refused(await letters.replay(1), 422, "still-fails")
    gone = text("DELETE FROM greeting")
    await letters.database.write(lambda session: session.execute(gone))

    assert (await letters.replay(1)).json()["outcome"] == "handled"

    assert await letters.greeted() == ["second"]
    assert len(await letters.rows(inbox.c.event_id)) == 2


@pytest.mark.parametrize("headers", [{}, {"idempotency-key": "a"}], ids=repr)
async def test_a_letter_that_still_fails_says_why_and_only_the_attempt_is_counted(
    letters: Letters, headers: dict[str, str]
) -> None:
    letter, _ = await letters.kept_event()
    before = await letters.everything()
    breaks(letters, ZeroDivisionError("division\nby zero"))

    for query in ("?dryRun=true", ""):
        assert await letters.everything() == before
        url = f"/api/dead-letter/{letter}/replay{query}"
        answer = await letters.http.post(url, json=WHO, headers=headers)
        detail = is_refused(answer, 422, "still-fails")
        assert detail == "ZeroDivisionError: division by zero"

    shown = await letters.shown(letter)
    assert (shown["state"], shown["attempts"]) == ("OPEN", 2)
    assert (await letters.everything())[1:] == before[1:]


async def test_an_event_that_the_reaction_does_not_expect_still_fails(
    letters: Letters,
) -> None:
    other = signed({**order_created(), "type": "OrderCancelled"})
    letter = await letters.kept(json.dumps(other).encode())

    detail = is_refused(await letters.replay(letter), 422, "still-fails")

    assert "OrderCancelled" in detail


def unsigned() -> bytes:
    """Return an event that nobody signed."""
    return json.dumps(order_created(signature="")).encode()


def altered() -> bytes:
    """Return an event that somebody changed after it was signed."""
    return json.dumps({**order_created(), "subject": "another"}).encode()


def ancient() -> bytes:
    """Return an authentic event that the inbox may have forgotten."""
    past = clock.now() - REMEMBERED - timedelta(minutes=1)
    return json.dumps(order_created(time=past.isoformat())).encode()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (lambda: b"\xff", "Invalid JSON"),
        (lambda: b"[" * 60_000, "no valid CloudEvent"),
        (unsigned, "it is not signed"),
        (altered, "it is altered"),
        (ancient, "it is older than the inbox remembers"),
    ],
)
@pytest.mark.parametrize("query", ["", "?dryRun=true"])
async def test_a_letter_that_is_not_authentic_is_never_handled(
    letters: Letters, body: Callable[[], bytes], reason: str, query: str
) -> None:
    letter = await letters.kept(body(), authentic=False)
    before = await letters.everything()

    detail = is_refused(await letters.replay(letter, query), 409, "not-replayable")

    assert detail.startswith("It is not authentic: ")
    assert reason in detail
    assert await letters.everything() == before


async def test_a_letter_that_proves_authentic_can_be_replayed_by_its_id(
    letters: Letters,
) -> None:
    """As when its key was not known yet to the replica that received it."""
    letter, event_id = await letters.kept_event(authentic=False)

    assert (await letters.replay(letter)).json()["outcome"] == "handled"

    assert await letters.greeted() == [event_id]


async def test_an_authentic_letter_can_be_replayed_however_old_its_event_is(
    letters: Letters,
) -> None:
    letter = await letters.kept(ancient())

    assert (await letters.replay(letter)).json()["outcome"] == "handled"


async def test_a_replay_while_the_database_is_unavailable_is_no_attempt(
    letters: Letters,
) -> None:
    letter, _ = await letters.kept_event()
    breaks(letters, OperationalError("x", {}, psycopg.OperationalError("it starts")))

    is_refused(await letters.replay(letter), 503, "database-unavailable")

    assert await letters.rows(dead_letter.c.attempts) == [(1,)]


@pytest.mark.parametrize(
    "letter", [7, 0, -1, LARGEST_ID, LARGEST_ID + 1, -(10**30), 10**30]
)
async def test_a_letter_that_is_not_there_is_said(
    letters: Letters, letter: int
) -> None:
    detail = is_refused(await letters.replay(letter), 404, "dead-letter-not-found")

    assert detail == f"There is no dead letter {letter}."


@pytest.mark.parametrize("letter", ["x", "1.5", "%00", "9" * 5000])
async def test_what_is_no_id_is_named(letters: Letters, letter: str) -> None:
    detail = is_refused(await letters.replay(letter), 422, "invalid-request")

    assert detail.startswith("id: ")


async def test_a_letter_of_a_reaction_that_is_gone_stays(letters: Letters) -> None:
    letter, _ = await letters.kept_event("applaud_customer")
    before = await letters.everything()

    detail = is_refused(await letters.replay(letter), 409, "not-replayable")

    assert detail == "No reaction here is called applaud_customer."
    assert await letters.everything() == before


@pytest.mark.parametrize("query", ["", "?dryRun=true"])
async def test_of_many_who_replay_a_letter_at_once_one_wins(
    letters: Letters, query: str
) -> None:
    letter, event_id = await letters.kept_event()

    answers = await asyncio.gather(
        letters.replay(letter), *(letters.replay(letter, query) for _ in range(7))
    )

    outcomes = [(each.status_code, each.json().get("dryRun")) for each in answers]
    assert outcomes.count((200, False)) == 1
    assert {status for status, _ in outcomes} <= {200, 409}
    assert await letters.greeted() == [event_id]
    assert await letters.rows(dead_letter.c.attempts) == [(2,)]
