"""The feed in short: ids in place of events, and events by their ids."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.database import migrated
from tests.support.feeds import Feed, another, order_created


@pytest.fixture
async def feed(each_database: None, tmp_path: Path) -> AsyncIterator[Feed]:
    """Return a feed that is empty."""
    database = migrated("order", tmp_path)
    yield Feed(database)
    await database.close()


async def test_a_page_of_ids_has_the_same_cursors_as_one_in_full(feed: Feed) -> None:
    letters = [order_created() for _ in range(3)]
    await feed.says(*letters, another())

    short, full = await feed.page(form="ids"), await feed.page()

    assert short["events"] == [envelope["id"] for _, envelope in letters]
    assert {**short, "events": full["events"]} == full


async def test_events_are_given_by_their_ids_and_what_is_not_there_is_left_out(
    feed: Feed,
) -> None:
    said = await feed.says_orders(3)
    (other,) = await feed.says(another())
    asked = [said[2], "nothing", said[0], other]

    answer = await feed.asked_with_ids(asked)

    stored = [json.loads(row.event) for row in await feed.stored()]
    assert answer.json() == {"events": {said[0]: stored[0], said[2]: stored[2]}}


@pytest.mark.parametrize("asked", [["a"] * 101, ["a\0"], ["a" * 201], [""]])
async def test_too_many_ids_and_malformed_ones_are_refused(
    feed: Feed, asked: list[str]
) -> None:
    assert (await feed.asked_with_ids(asked)).status_code == 422


async def test_an_unknown_form_is_refused(feed: Feed) -> None:
    assert (await feed.asked(form="short")).status_code == 422
