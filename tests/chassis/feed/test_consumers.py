"""Consumers: each is known by app-id and reaction, and what it asks after it has acknowledged."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from chassis.feed.consumers import consumer
from tests.support.database import migrated
from tests.support.feeds import Feed

OURS, THEIRS = "notification/act_on_order_created", "statistics/act_on_order_created"


@pytest.fixture
async def feed(each_database: None, tmp_path: Path) -> AsyncIterator[Feed]:
    """Return a feed that is empty."""
    database = migrated("order", tmp_path)
    yield Feed(database)
    await database.close()


async def acknowledged(feed: Feed) -> dict[str, int]:
    """Return the position that each consumer has acknowledged."""
    rows = select(consumer.c.consumer, consumer.c.position)
    found = await feed.database.read(lambda session: session.execute(rows).all())
    return {row.consumer: row.position for row in found}


async def cursor_at(feed: Feed, position: int) -> str:
    """Return the cursor of an event, as no consumer."""
    return str((await feed.page(limit=position))["next"])


async def test_what_a_consumer_asks_after_is_acknowledged(feed: Feed) -> None:
    await feed.says_orders(3)

    await feed.page(consumer=OURS)
    assert await acknowledged(feed) == {OURS: -1}
    await feed.page(consumer=OURS, after=await cursor_at(feed, 2))

    assert await acknowledged(feed) == {OURS: 2}


async def test_whoever_is_no_consumer_acknowledges_nothing(feed: Feed) -> None:
    await feed.says_orders(2)

    await feed.page(after=await cursor_at(feed, 1))

    assert await acknowledged(feed) == {}


async def test_two_services_may_have_reactions_of_the_same_name(feed: Feed) -> None:
    await feed.says_orders(3)
    await feed.page(consumer=OURS, after=await cursor_at(feed, 3))

    page = await feed.page(consumer=THEIRS)

    assert len(page["events"]) == 3
    assert await acknowledged(feed) == {OURS: 3, THEIRS: -1}


async def test_a_cursor_behind_the_acknowledged_offset_is_refused(feed: Feed) -> None:
    await feed.says_orders(3)
    first, second = await cursor_at(feed, 1), await cursor_at(feed, 2)
    await feed.page(consumer=OURS, after=second)

    for earlier in (first, ""):
        has_regressed(await feed.asked(consumer=OURS, after=earlier))

    assert await acknowledged(feed) == {OURS: 2}


async def test_a_reset_goes_back_and_is_acknowledged(feed: Feed) -> None:
    await feed.says_orders(3)
    first = await cursor_at(feed, 1)
    await feed.page(consumer=OURS, after=await cursor_at(feed, 3))

    await feed.page(consumer=OURS, after=first, reset="true")

    assert await acknowledged(feed) == {OURS: 1}
    has_regressed(await feed.asked(consumer=OURS))


async def test_a_reset_is_recorded_by_whichever_replica_it_reaches(feed: Feed) -> None:
    """Neither remembers what the other was asked."""
    await feed.says_orders(3)
    replica = Feed(feed.database)
    await replica.page(consumer=OURS)
    last = await cursor_at(feed, 3)
    await feed.page(consumer=OURS, after=last)

    await replica.page(consumer=OURS, reset="true")

    assert await acknowledged(feed) == {OURS: -1}


async def test_an_older_database_behind_another_feed_is_told_of_its_cursor_first(
    feed: Feed,
) -> None:
    """It is the consumer that has to be rebuilt: read again, the feed would reach customers again."""
    await feed.says_orders(3)
    first = await cursor_at(feed, 1)
    await feed.page(consumer=OURS, after=await cursor_at(feed, 3))
    await feed.change(1, event_id="another")

    has_regressed(await feed.asked(consumer=OURS, after=first))


async def test_a_cursor_that_is_asked_after_again_is_not_written_again(
    feed: Feed,
) -> None:
    await feed.says_orders(1)
    after = await cursor_at(feed, 1)
    await feed.page(consumer=OURS, after=after)
    await feed.execute(consumer.update().values(topic="unchanged"))

    await feed.page(consumer=OURS, after=after)

    rows = await feed.database.read(lambda s: s.execute(select(consumer)).all())
    assert [row.topic for row in rows] == ["unchanged"]


def has_regressed(answer: httpx.Response) -> None:
    """Check that a consumer is refused because its cursor has regressed."""
    assert answer.status_code == 409, answer.text
    assert answer.json()["type"] == "urn:problem-type:cursor-regressed"
