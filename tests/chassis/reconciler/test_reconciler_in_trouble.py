"""The pull in trouble: what can never be taken in, pages that are none, and feeds that are others."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from starlette.responses import JSONResponse, Response

from chassis.dapr.sidecar import SidecarUnavailable
from chassis.reconciler.grace_period import SETTLE
from tests.support.feeds import AT, order_created
from tests.support.letters import STRICT
from tests.support.pulls import Pull, pulling
from tests.support.simulated_dapr import SimulatedDapr

FEED = UUID("0198c0de-0000-7000-8000-000000000001")
YEAR_0 = "0001-01-01T00:00:00+05:00"
"""A time that is one on the wire, and none in UTC."""


@pytest.fixture
async def pull(tmp_path: Path, dapr: SimulatedDapr) -> AsyncIterator[Pull]:
    """Make a feed, and who pulls from it."""
    async with pulling(tmp_path, dapr) as made:
        yield made


@pytest.mark.parametrize(
    "raw",
    [
        "{}",
        '{"id": null}',
        '{"id": ["a"]}',
        '{"id": 7}',
        '{"id": "a\\u0000b"}',
        '{"id": "\\ud800"}',
        f'{{"id": "{"a" * 300}"}}',
        '{"id": ""}',
    ],
)
async def test_what_is_no_event_is_one_dead_letter_and_blocks_nobody(
    pull: Pull, raw: str
) -> None:
    (first,) = await pull.feed.says_orders(1)
    await pull.feed.says_raw(raw)
    (last,) = await pull.feed.says_orders(1)

    await pull.catches_up()

    assert await pull.taken() == [first, last]
    (letter,) = await pull.dead()
    assert json.loads(letter.body) == json.loads(raw)
    assert letter.event_id is None
    assert await pull.cursor() == (await pull.feed.page())["end"]


@pytest.mark.parametrize(
    "changes",
    [
        {"data": {}},
        {"data": {"orderId": str(FEED), "customerName": "", "createdAt": AT}},
        {"data": {"orderId": str(FEED), "customerName": "J", "createdAt": YEAR_0}},
        {"dataschema": "urn:contract:OrderCreated:2"},
        {"source": "/notification"},
    ],
)
async def test_an_event_that_fails_for_good_is_one_dead_letter_that_holds_its_key(
    pull: Pull, changes: dict[str, Any]
) -> None:
    (first,) = await pull.feed.says_orders(1)
    bad = {**order_created()[1].model_dump(mode="json"), **changes}
    await pull.feed.says_raw(json.dumps(bad))
    (last,) = await pull.feed.says_orders(1)

    await pull.catches_up()
    await pull.forgets_its_place()
    await pull.catches_up()

    assert await pull.taken() == [first, last]
    assert await pull.inbox() == [first, bad["id"], last]
    (letter,) = await pull.dead()
    assert (letter.event_id, json.loads(letter.body)) == (bad["id"], bad)


async def test_a_second_event_for_an_order_is_a_dead_letter_and_takes_no_other_with_it(
    pull: Pull,
) -> None:
    order_id = uuid4()
    said = await pull.feed.says(
        order_created(order_id=order_id),
        order_created(order_id=order_id),
        order_created(),
    )
    pull.reconciler.reaction = STRICT

    await pull.catches_up()

    assert await pull.taken() == [said[0], said[2]]
    assert [letter.event_id for letter in await pull.dead()] == [said[1]]


@pytest.mark.parametrize("catching_up", [False, True])
async def test_a_place_that_is_of_another_feed_makes_it_begin_anew(
    pull: Pull, caplog: pytest.LogCaptureFixture, *, catching_up: bool
) -> None:
    said = await pull.feed.says_orders(2)
    await pull.catches_up()
    if catching_up:
        await pull.step()
    await pull.feed.becomes_another()
    said += await pull.feed.says_orders(1)

    await pull.catches_up()
    await pull.catches_up()

    assert "is not the one that was read up to" in caplog.text
    assert await pull.taken() == said
    assert await pull.dead() == []
    assert await pull.cursor() == (await pull.feed.page())["end"]


async def test_a_backup_of_the_sender_makes_it_begin_anew_and_miss_nothing(
    pull: Pull, caplog: pytest.LogCaptureFixture
) -> None:
    said = await pull.feed.says_orders(2)
    await pull.catches_up()
    await pull.feed.forgets(2)
    new = await pull.feed.says_orders(1)
    await pull.feed.change(3, position=2)

    await pull.catches_up()
    await pull.catches_up()

    assert "is not the one that was read up to" in caplog.text
    assert await pull.taken() == said + new


async def test_whoever_begins_anew_does_not_send_another_back(pull: Pull) -> None:
    await pull.feed.says_orders(1)
    await pull.catches_up()
    await pull.feed.becomes_another()
    other = pull.another()

    async def overtakes() -> None:
        await other.step()
        await other.step()
        pull.now += SETTLE
        await other.step()

    pull.before_it_is_heard = [overtakes]
    await pull.step()

    assert await pull.cursor() == (await pull.feed.page())["end"]


async def test_a_place_from_before_the_feed_changed_is_forgotten_too(
    pull: Pull,
) -> None:
    """It has nothing yet, and waits for what it heard of the feed that was there before."""
    await pull.feed.says_orders(1)
    await pull.step()
    pull.now += SETTLE
    await pull.feed.becomes_another()

    assert await pull.step() is True
    assert await pull.cursor() is None
    await pull.catches_up()

    assert await pull.cursor() == (await pull.feed.page())["end"]


def cursor(position: int, feed: UUID = FEED) -> str:
    """Write a cursor as a feed does."""
    return f"{feed}.0.{position}.event-{position}"


SHORT = ["an-id", "ab" * 32]
EVENT = order_created()[1].model_dump(mode="json")
PAGE = {"events": [EVENT], "next": cursor(6), "end": cursor(7)}
BROKEN: dict[str, object] = {
    "a list": [],
    "a list of events": [EVENT],
    "nothing in it": {},
    "no events": {"next": cursor(6), "end": cursor(7)},
    "no next": {"events": [EVENT], "end": cursor(7)},
    "no end": {"events": [EVENT], "next": cursor(6)},
    "events null": {**PAGE, "events": None},
    "events an object": {**PAGE, "events": {}},
    "events a text": {**PAGE, "events": ""},
    "an event in short and one in full": {**PAGE, "events": [SHORT, EVENT]},
    "a digest that is none": {**PAGE, "events": [["an-id", "xyz"]]},
    "a digest that is too short": {**PAGE, "events": [["an-id", "ab"]]},
    "a digest null": {**PAGE, "events": [["an-id", None]]},
    "an id in short that is a number": {**PAGE, "events": [[7, "ab" * 32]]},
    "an id in short that is empty": {**PAGE, "events": [["", "ab" * 32]]},
    "an id in short with a NUL": {**PAGE, "events": [["a\0", "ab" * 32]]},
    "an id without a digest": {**PAGE, "events": [["an-id"]]},
    "an id and too much": {**PAGE, "events": [[*SHORT, 1]]},
    "an event that is a text": {**PAGE, "events": [EVENT, "x"]},
    "an event that is null": {**PAGE, "events": [None, EVENT]},
    "an event that is a list": {**PAGE, "events": [[EVENT]]},
    "next null": {**PAGE, "next": None},
    "next null without events": {**PAGE, "events": [], "next": None},
    "next a number": {**PAGE, "next": 6},
    "next a list": {**PAGE, "next": [cursor(6)]},
    "next an object": {**PAGE, "next": {}},
    "next true": {**PAGE, "next": True},
    "next empty": {**PAGE, "next": ""},
    "next no cursor": {**PAGE, "next": "x"},
    "next of another feed": {**PAGE, "next": cursor(6, uuid4())},
    "next going back": {**PAGE, "next": cursor(4)},
    "next going back without events": {**PAGE, "events": [], "next": cursor(4)},
    "next where it was, with events": {**PAGE, "next": cursor(5)},
    "next another event at the same place": {
        **PAGE,
        "events": [],
        "next": f"{FEED}.0.5.another",
    },
    "end a number": {**PAGE, "end": 7},
    "end no cursor": {**PAGE, "end": "x"},
    "end of another feed": {**PAGE, "end": cursor(7, uuid4())},
}


@pytest.mark.parametrize("name", BROKEN)
async def test_a_page_that_is_broken_is_refused_whole(pull: Pull, name: str) -> None:
    await pull.begins_at(cursor(5))
    pull.answer = JSONResponse(BROKEN[name])

    await refused(pull)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"not JSON"),
        (200, b""),
        (200, b'{"events": ['),
        (200, b"null"),
        (200, b"7"),
        (201, json.dumps(PAGE).encode()),
        (204, b""),
        (302, b"{}"),
        (400, b"{}"),
        (401, b'{"type": "urn:problem-type:secret-missing"}'),
        (403, b"{}"),
        (404, b'{"detail": "Not Found"}'),
        (410, b"{}"),
        (422, b"{}"),
        (429, b"{}"),
        (500, b"{}"),
        (500, json.dumps(PAGE).encode()),
        (503, b"{}"),
    ],
)
async def test_an_answer_that_is_no_page_changes_nothing(
    pull: Pull, status: int, body: bytes
) -> None:
    await pull.begins_at(cursor(5))
    pull.answer = Response(body, status, media_type="application/json")

    await refused(pull)


async def refused(pull: Pull) -> None:
    """See an answer refused, and nothing changed by it."""
    for _ in range(2):
        with pytest.raises(SidecarUnavailable):
            await pull.step()
        pull.now += SETTLE
    assert await pull.cursor() == cursor(5)
    assert (await pull.inbox(), await pull.taken(), await pull.dead()) == ([], [], [])


async def test_the_page_from_which_the_broken_ones_are_made_is_taken_in(
    pull: Pull,
) -> None:
    await pull.begins_at(cursor(5))
    pull.answer = JSONResponse({**PAGE, "more": "is not read"})

    await pull.step()

    assert await pull.cursor() == cursor(6)
    assert await pull.taken() == [EVENT["id"]]
