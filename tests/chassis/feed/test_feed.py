"""The feed: every event that was committed, once and in order, to whoever goes on from where it was."""

import json
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from chassis.outbox.outbox import State
from tests.support.database import migrated
from tests.support.feeds import (
    Feed,
    another,
    append_letters,
    ids,
    meanwhile,
    open_transaction,
    order_created,
)


@pytest.fixture
async def feed(each_database: None, tmp_path: Path) -> AsyncIterator[Feed]:
    """Return a feed that is empty."""
    database = migrated("order", tmp_path)
    yield Feed(database)
    await database.close()


async def test_events_come_in_the_order_in_which_they_were_committed(
    feed: Feed,
) -> None:
    said = [*await feed.says_orders(2), *await feed.says_orders(1)]

    assert ids(await feed.page()) == said


async def test_a_feed_is_read_page_by_page_to_its_end(feed: Feed) -> None:
    said = await feed.says_orders(5)

    pages = [await feed.page(limit=2)]
    while pages[-1]["next"] != pages[-1]["highWaterMark"]:
        pages.append(await feed.page(limit=2, after=pages[-1]["next"]))

    assert [ids(page) for page in pages] == [said[:2], said[2:4], said[4:]]
    last = pages[-1]["next"]
    assert await feed.page(after=last) == empty(last, last)
    more = await feed.says_orders(1)
    assert ids(await feed.page(after=last)) == more


async def test_a_full_last_page_is_followed_by_an_empty_one(feed: Feed) -> None:
    await feed.says_orders(2)
    full = await feed.page(limit=2)

    after = await feed.page(limit=2, after=full["next"])

    assert after == empty(full["next"], full["highWaterMark"])


async def test_an_empty_feed_has_no_place_to_go_on_from(feed: Feed) -> None:
    assert await feed.page() == empty(None, None)
    assert await feed.page(limit=0) == empty(None, None)


async def test_asked_for_no_events_it_gives_its_end_and_moves_nobody(
    feed: Feed,
) -> None:
    await feed.says_orders(3)
    first = await feed.page(limit=1)

    assert await feed.page(limit=0) == {**first, "events": [], "next": None}
    stays = await feed.page(limit=0, after=first["next"])
    assert stays == {**first, "events": []}


async def test_what_comes_after_until_is_not_given(feed: Feed) -> None:
    said = await feed.says_orders(2)
    until = (await feed.page(limit=0))["highWaterMark"]
    await feed.says_orders(2)

    page = await feed.page(until=until)
    after = await feed.page(until=until, after=page["next"])

    assert (ids(page), page["next"]) == (said, until)
    assert page["highWaterMark"] != until
    assert after == empty(until, page["highWaterMark"])


async def test_until_before_after_leads_nobody_back(feed: Feed) -> None:
    await feed.says_orders(1)
    until = (await feed.page(limit=0))["highWaterMark"]
    await feed.says_orders(1)
    after = (await feed.page())["next"]

    page = await feed.page(until=until, after=after)

    assert page == empty(after, after)


async def test_events_of_other_topics_are_left_out_and_gone_past(feed: Feed) -> None:
    (first,) = await feed.says(order_created())
    await feed.says(another(), another())

    page = await feed.page()
    again = await feed.page(after=page["next"])

    assert (ids(page), page["next"]) == ([first], page["highWaterMark"])
    assert again == {**page, "events": []}
    assert ids(await feed.page(topic="NoSuchTopic")) == []
    assert (await feed.page(topic="NoSuchTopic"))["next"] == page["highWaterMark"]


@pytest.mark.parametrize("state", list(State))
async def test_an_event_is_listed_whatever_became_of_it_at_the_broker(
    feed: Feed, state: State
) -> None:
    said = await feed.says_orders(1)

    await feed.change(1, state=state, attempt=7)

    assert ids(await feed.page()) == said


async def test_a_transaction_that_was_rolled_back_left_nothing(feed: Feed) -> None:
    with suppress(ZeroDivisionError):
        async with open_transaction(feed.database) as session:
            append_letters(session, order_created())
            raise ZeroDivisionError

    assert await feed.page() == empty(None, None)


async def test_what_is_committed_while_a_page_is_read_belongs_to_the_next(
    feed: Feed,
) -> None:
    said = await feed.says_orders(1)

    with meanwhile(feed, "outbox.topic =", feed.says_orders):
        page = await feed.page()

    assert ids(page) == said
    assert len(ids(await feed.page(after=page["next"]))) == 1


async def test_the_events_go_out_as_they_were_stored_to_the_byte(feed: Feed) -> None:
    await feed.says(order_created('Zoë "山田" \U0001f389\u2028 \\'), another())
    await feed.says(order_created("</script>"))

    answer = await feed.asked()

    stored = [row.event for row in await feed.stored() if row.topic == "OrderCreated"]
    assert f'"events":[{",".join(stored)}],"next":'.encode() in answer.content
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["events"] == [json.loads(each) for each in stored]


def empty(following: str | None, mark: str | None) -> dict[str, Any]:
    """Return a page without events."""
    cursors = {"next": following, "highWaterMark": mark}
    return {"events": [], **cursors, "removed": False}


async def test_a_page_that_begins_at_the_beginning_says_that_events_were_removed(
    feed: Feed,
) -> None:
    said = await feed.says_orders(3)
    second = (await feed.page(limit=2))["next"]
    await feed.removes_until(1)

    page = await feed.page()

    assert (ids(page), page["removed"]) == (said[1:], True)
    assert (await feed.page(after=second))["removed"] is False


async def test_a_cursor_before_removed_events_has_expired(feed: Feed) -> None:
    await feed.says_orders(4)
    first = (await feed.page(limit=1))["next"]
    await feed.removes_until(2)

    is_refused(await feed.asked(after=first), 410, "cursor-expired")


@pytest.mark.parametrize("which", ["after", "until"])
async def test_a_cursor_of_another_feed_is_refused(feed: Feed, which: str) -> None:
    await feed.says_orders(1)
    cursor = (await feed.page())["highWaterMark"]
    await feed.becomes_another()

    is_refused(await feed.asked(**{which: cursor}), 409, "feed-changed")


@pytest.mark.parametrize("which", ["after", "until"])
async def test_a_cursor_beyond_the_end_is_refused(feed: Feed, which: str) -> None:
    """A backup was restored that knows less than what was read."""
    await feed.says_orders(2)
    cursor = (await feed.page())["highWaterMark"]
    await feed.forgets(2)

    is_refused(await feed.asked(**{which: cursor}), 409, "feed-changed")


async def test_a_cursor_at_whose_place_another_event_is_is_refused(feed: Feed) -> None:
    """A backup was restored, and went on from there."""
    await feed.says_orders(1)
    cursor = (await feed.page())["highWaterMark"]

    await feed.change(1, event_id=str(uuid4()))

    is_refused(await feed.asked(after=cursor), 409, "feed-changed")


def is_refused(answer: httpx.Response, status: int, problem: str) -> None:
    """Check that a request was refused like this."""
    assert answer.status_code == status, answer.text
    assert answer.json()["type"] == f"urn:problem-type:{problem}"
