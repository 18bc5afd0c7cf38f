"""Answers that are no page of a feed are refused whole: nothing of them is handled, and the cursor stays."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from starlette.responses import JSONResponse, Response

from chassis.dapr import SidecarUnavailable
from chassis.reconciler.grace_period import SHORTEST
from tests.support.feeds import order_created
from tests.support.pulls import Pull, pulling
from tests.support.simulated_dapr import SimulatedDapr

FEED = UUID("0198c0de-0000-7000-8000-000000000001")


@pytest.fixture
async def pull(tmp_path: Path, dapr: SimulatedDapr) -> AsyncIterator[Pull]:
    """Return a feed and its consumer."""
    async with pulling(tmp_path, dapr) as made:
        yield made


def cursor(position: int, feed: UUID = FEED) -> str:
    """Write a cursor as a feed does."""
    return f"{feed}.0.{position}.event-{position}"


EVENT = order_created()[1]
PAGE = {
    "events": [EVENT],
    "next": cursor(6),
    "highWaterMark": cursor(7),
    "removed": False,
}


def without(name: str) -> dict[str, object]:
    """Return the page without one of its fields."""
    return {key: value for key, value in PAGE.items() if key != name}


BROKEN: dict[str, object] = {
    "a list": [],
    "a list of events": [EVENT],
    "nothing in it": {},
    "no events": without("events"),
    "no next": without("next"),
    "no high-water mark": without("highWaterMark"),
    "not whether events were removed": without("removed"),
    "a text for whether events were removed": {**PAGE, "removed": "no"},
    "events null": {**PAGE, "events": None},
    "events an object": {**PAGE, "events": {}},
    "events a text": {**PAGE, "events": ""},
    "an id and an event in full": {**PAGE, "events": ["an-id", EVENT]},
    "an id that is a number": {**PAGE, "events": [7]},
    "an id that is empty": {**PAGE, "events": [""]},
    "an id with a NUL": {**PAGE, "events": ["a\0"]},
    "an id with its digest": {**PAGE, "events": [["an-id", "ab" * 32]]},
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
    "a high-water mark that is a number": {**PAGE, "highWaterMark": 7},
    "a high-water mark that is no cursor": {**PAGE, "highWaterMark": "x"},
    "the high-water mark of another feed": {
        **PAGE,
        "highWaterMark": cursor(7, uuid4()),
    },
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
        pull.now += SHORTEST
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
