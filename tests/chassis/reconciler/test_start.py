"""Where a reaction starts that has never run: with what is published now, or with the oldest event."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from chassis.feed.consumers import consumer
from chassis.inbox import Start
from chassis.reconciler import RebuildNeeded
from chassis.reconciler.grace_period import SHORTEST
from services.notification.reactions.notify_customer_on_order_created import reaction
from tests.support.feeds import order_created
from tests.support.pulls import Pull, pulling
from tests.support.simulated_dapr import SimulatedDapr

NOW = replace(reaction, start=Start.NOW)
CONSUMER = "notification/notify_customer_on_order_created"


@pytest.fixture
async def pull(
    each_database: None, tmp_path: Path, dapr: SimulatedDapr
) -> AsyncIterator[Pull]:
    """Return a feed and its consumer."""
    async with pulling(tmp_path, dapr) as made:
        yield made


@pytest.fixture
async def now(pull: Pull) -> Pull:
    """Return a feed and a consumer that starts with what is published now."""
    pull.reconciler.reaction = NOW
    return pull


async def acknowledged(pull: Pull) -> list[tuple[str, int]]:
    """Return each consumer and the position that it has acknowledged."""
    rows = select(consumer.c.consumer, consumer.c.position)
    found = await pull.feed.database.read(lambda session: session.execute(rows).all())
    return [(row.consumer, row.position) for row in found]


async def test_a_start_now_handles_nothing_that_was_published_before(now: Pull) -> None:
    await now.feed.says_orders(3)
    await now.step()
    later = await now.feed.says_orders(2)

    await now.catches_up()

    assert await now.taken() == later


async def test_a_start_now_registers_its_consumer_with_its_first_calls(
    now: Pull,
) -> None:
    await now.feed.says_orders(3)

    assert await now.step() is True
    assert await now.cursor() == (await now.feed.page())["highWaterMark"]
    await now.step()

    assert await acknowledged(now) == [(CONSUMER, 3)]


async def test_a_start_now_is_remembered_where_the_feed_is_empty(now: Pull) -> None:
    await now.step()
    assert await now.cursor() == ""
    first = await now.feed.says_orders(1)
    again = now.another()
    again.reaction = NOW
    now.reconciler = again

    await now.catches_up()

    assert await now.taken() == first


async def test_a_start_now_handles_what_was_pushed_before_its_first_pull_once(
    now: Pull,
) -> None:
    letter = order_created()
    said = await now.feed.says(letter)
    await now.is_pushed(letter)

    await now.catches_up()

    assert await now.taken() == said


async def test_a_start_now_meets_no_history_when_the_feed_has_changed(
    now: Pull,
) -> None:
    """The sender's older backup has other events in places that were read already."""
    await now.feed.says_orders(3)
    await now.step()
    handled = await now.feed.says_orders(2)
    await now.catches_up()
    await now.feed.becomes_another()
    missed = await now.feed.says_orders(1)

    for _ in range(3):
        await now.catches_up()

    assert await now.taken() == [*handled, *missed]
    assert await now.cursor() == (await now.feed.page())["highWaterMark"]
    assert await acknowledged(now) == [(CONSUMER, 6)]


async def test_a_start_now_that_has_handled_nothing_starts_again_when_the_feed_has_changed(
    now: Pull,
) -> None:
    await now.feed.says_orders(3)
    await now.step()
    await now.feed.becomes_another()

    await now.catches_up()
    later = await now.feed.says_orders(1)
    await now.catches_up()

    assert await now.taken() == later


async def test_history_is_skipped_over_many_pages(now: Pull) -> None:
    await now.feed.says_orders(1203)
    await now.step()
    handled = await now.feed.says_orders(2)
    await now.catches_up()
    await now.feed.becomes_another()

    for _ in range(2):
        await now.catches_up()

    assert await now.taken() == handled


async def test_the_wiped_database_of_a_start_now_is_noticed(now: Pull) -> None:
    await now.feed.says_orders(1)
    await now.step()
    await now.step()
    await now.is_wiped()

    with pytest.raises(RebuildNeeded):
        await now.step()


async def test_a_start_at_the_beginning_handles_the_oldest_event_first(
    pull: Pull,
) -> None:
    said = await pull.feed.says_orders(3)

    await pull.catches_up()

    assert await pull.taken() == said


async def test_a_start_at_the_beginning_logs_once_that_older_events_were_removed(
    pull: Pull, caplog: pytest.LogCaptureFixture
) -> None:
    said = await pull.feed.says_orders(3)
    await pull.feed.removes_until(1)

    await pull.catches_up()
    await pull.feed.says_orders(1)
    await pull.catches_up()

    assert (await pull.taken())[:2] == said[1:]
    assert caplog.text.count("retention has removed older ones") == 1


async def test_what_was_pushed_into_a_wiped_database_does_not_make_it_a_known_one(
    pull: Pull,
) -> None:
    """The broker may be faster than the first pull; read again, the feed would reach customers again."""
    await pull.feed.says_orders(2)
    await pull.catches_up()
    await pull.step()
    await pull.is_wiped()
    letter = order_created()
    await pull.feed.says(letter)
    await pull.is_pushed(letter)

    pull.now += SHORTEST
    for _ in range(2):
        with pytest.raises(RebuildNeeded):
            await pull.step()

    assert await pull.taken() == [letter[1]["id"]]
