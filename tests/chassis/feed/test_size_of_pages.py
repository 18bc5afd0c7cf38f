"""Answers of the feed are bounded by bytes as well as by rows: daprd carries 4 MiB."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chassis.feed.feed import MAX_BYTES, MAX_ROWS
from chassis.outbox.outbox import MAX_EVENT_BYTES
from tests.support.database import migrated
from tests.support.feeds import Feed, ids

CARRIED = 4 * 1024 * 1024
"""Bytes that daprd carries in one message."""


@pytest.fixture
async def feed(each_database: None, tmp_path: Path) -> AsyncIterator[Feed]:
    """Return a feed that is empty."""
    database = migrated("order", tmp_path)
    yield Feed(database)
    await database.close()


def raw(name: str, size: int) -> str:
    """Return JSON with an id, of so many bytes."""
    return json.dumps({"id": name, "padding": ""}).replace('""', f'"{"x" * size}"')


async def says(feed: Feed, number: int, size: int) -> list[str]:
    """Store so many events of that size; return their ids."""
    names = [f"event-{each}" for each in range(number)]
    for name in names:
        await feed.says_raw(raw(name, size), event_id=name)
    return names


async def test_many_large_events_are_paged_by_their_bytes(feed: Feed) -> None:
    said = await says(feed, 250, 20_000)

    answers = [await feed.asked(limit=250)]
    while (page := answers[-1].json())["next"] != page["highWaterMark"]:
        answers.append(await feed.asked(limit=250, after=page["next"]))

    assert [each for answer in answers for each in ids(answer.json())] == said
    assert max(len(each.content) for each in answers) < MAX_BYTES + 1000 < CARRIED
    assert len(answers) == 3


async def test_an_event_that_is_larger_than_a_page_goes_out_alone(feed: Feed) -> None:
    """None is stored today; one of an older release may be."""
    names = await says(feed, 2, MAX_BYTES + 1)

    first = await feed.page()
    second = await feed.page(after=first["next"])

    assert (ids(first), ids(second)) == (names[:1], names[1:])


async def test_what_follows_a_large_event_is_not_skipped(feed: Feed) -> None:
    small, large = raw("small", 10), raw("large", MAX_BYTES)
    for name, event in (("small", small), ("large", large), ("last", small)):
        await feed.says_raw(event, event_id=name)

    pages = [await feed.page()]
    while pages[-1]["next"] != pages[-1]["highWaterMark"]:
        pages.append(await feed.page(after=pages[-1]["next"]))

    assert [len(page["events"]) for page in pages] == [1, 1, 1]


async def test_a_page_of_ids_is_bounded_by_rows_alone(feed: Feed) -> None:
    said = await says(feed, 40, MAX_EVENT_BYTES)

    page = await feed.page(form="ids")

    assert page["events"] == said
    assert page["next"] == page["highWaterMark"]


async def test_events_by_ids_are_as_many_as_fit_and_at_least_one(feed: Feed) -> None:
    said = await says(feed, 40, MAX_EVENT_BYTES)

    found = (await feed.asked_with_ids(said)).json()["events"]

    assert [*found] == said[:31]
    rest = (await feed.asked_with_ids(said[31:])).json()["events"]
    assert [*rest] == said[31:]


async def test_a_page_of_many_small_events_is_bounded_by_rows(feed: Feed) -> None:
    await feed.says_raw(*(raw(f"event-{each}", 10) for each in range(MAX_ROWS + 1)))

    page = await feed.page()

    assert len(page["events"]) == MAX_ROWS
    assert page["next"] != page["highWaterMark"]
