"""The pull in trouble: events that can never be handled, broken pages, and feeds that have changed."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from chassis.cloud_event import CloudEvent
from chassis.database.transient import CommitFailed
from chassis.feed.feed import FeedChanged
from chassis.inbox.attempts import MAX_ATTEMPTS
from chassis.reconciler import RebuildNeeded
from chassis.reconciler.cursor import feed_cursor
from chassis.reconciler.grace_period import SHORTEST
from chassis.reconciler.repair import CursorHeld
from contracts.order_created import OrderCreated
from services.notification.reactions.notify_customer_on_order_created import reaction
from tests.support.database import KEYS, migrated
from tests.support.feeds import AT, Feed, order_created
from tests.support.pulls import Pull, pulling
from tests.support.simulated_dapr import SimulatedDapr

FEED = UUID("0198c0de-0000-7000-8000-000000000001")
YEAR_0 = "0001-01-01T00:00:00+05:00"
"""A time that is one on the wire, and none in UTC."""


@pytest.fixture
async def pull(
    each_database: None, tmp_path: Path, dapr: SimulatedDapr
) -> AsyncIterator[Pull]:
    """Return a feed and its consumer."""
    async with pulling(tmp_path, dapr) as made:
        yield made


@pytest.mark.parametrize(
    "changes",
    [
        {"data": {}},
        {"data": {"orderId": str(FEED), "customerName": "", "createdAt": AT}},
        {"data": {"orderId": str(FEED), "customerName": "J", "createdAt": YEAR_0}},
        {"dataschema": "urn:contract:OrderCreated:2"},
    ],
)
async def test_an_event_that_fails_for_good_is_one_dead_letter_that_holds_its_key(
    pull: Pull, changes: dict[str, Any]
) -> None:
    (first,) = await pull.feed.says_orders(1)
    changed = {**order_created()[1], **changes}
    bad = {**changed, "signature": KEYS.sign(changed)}
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

    assert "is read again from its oldest event" in caplog.text
    assert await pull.taken() == said
    assert await pull.dead() == []
    assert await pull.cursor() == (await pull.feed.page())["highWaterMark"]


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

    assert "is read again from its oldest event" in caplog.text
    assert set(await pull.taken()) == {*said, *new}


async def test_whoever_begins_anew_does_not_send_another_back(pull: Pull) -> None:
    await pull.feed.says_orders(1)
    await pull.catches_up()
    await pull.feed.becomes_another()
    other = pull.another()

    async def overtakes() -> None:
        await other.step()
        await other.step()
        pull.now += SHORTEST
        await other.step()

    pull.before_it_is_heard = [overtakes]
    await pull.step()

    assert await pull.cursor() == (await pull.feed.page())["highWaterMark"]


async def test_a_place_from_before_the_feed_changed_is_forgotten_too(
    pull: Pull,
) -> None:
    """It has nothing yet, and waits for what it heard of the feed that was there before."""
    await pull.feed.says_orders(1)
    await pull.step()
    pull.now += SHORTEST
    await pull.feed.becomes_another()

    assert await pull.step() is True
    assert await pull.cursor() is None
    await pull.catches_up()

    assert await pull.cursor() == (await pull.feed.page())["highWaterMark"]


async def test_a_bug_in_a_reaction_holds_the_cursor_until_its_event_is_a_dead_letter(
    pull: Pull,
) -> None:
    said = await pull.feed.says_orders(3)

    def fail(event: OrderCreated, envelope: CloudEvent, session: Session) -> None:
        if envelope.id == said[1]:
            raise TimeoutError("the reaction has a bug")
        reaction.act(event, envelope, session)

    pull.reconciler.reaction = replace(reaction, act=fail, known_as=reaction.name)
    await pull.step()
    pull.now += SHORTEST
    for _ in range(MAX_ATTEMPTS - 1):
        with pytest.raises(CursorHeld, match="1 of"):
            await pull.step()
    assert await pull.cursor() is None
    assert await pull.taken() == [said[0], said[2]]

    await pull.step()

    assert [letter.event_id for letter in await pull.dead()] == [said[1]]
    assert await pull.cursor() == (await pull.feed.page())["highWaterMark"]


async def test_an_unavailable_database_is_not_tried_with_every_event(
    pull: Pull, caplog: pytest.LogCaptureFixture
) -> None:
    await pull.feed.says_orders(3)

    with (
        pull.failing_to_commit(),
        pytest.raises(CommitFailed, match="disk is full"),
    ):
        await pull.catches_up()

    assert await pull.cursor() is None
    assert caplog.records == []


async def test_an_older_database_is_not_read_into_again(pull: Pull) -> None:
    said = await pull.feed.says_orders(1)
    await pull.catches_up()
    backup = await pull.cursor()
    said += await pull.feed.says_orders(1)
    for _ in range(2):
        await pull.catches_up()
    await pull.execute(update(feed_cursor).values(cursor=backup))

    for _ in range(2):
        with pytest.raises(RebuildNeeded, match="has acknowledged"):
            await pull.step()

    assert await pull.cursor() == backup


async def test_an_older_database_of_a_repeatable_reaction_is_read_into_again(
    pull: Pull,
) -> None:
    pull.reconciler.reaction = replace(reaction, repeatable=True)
    said = await pull.feed.says_orders(1)
    await pull.catches_up()
    backup = await pull.cursor()
    said += await pull.feed.says_orders(2)
    for _ in range(2):
        await pull.catches_up()
    await pull.execute(update(feed_cursor).values(cursor=backup))

    for _ in range(2):
        await pull.catches_up()

    assert await pull.taken() == said
    assert await pull.cursor() == (await pull.feed.page())["highWaterMark"]


async def test_a_rebuild_whose_feed_has_changed_ends_and_says_so(pull: Pull) -> None:
    await pull.feed.says_orders(3)
    pull.reconciler.rebuilt_until = (await pull.feed.page(limit=2))["next"]
    pull.reconciler.full_rows = 1
    assert await pull.step() is True
    await pull.feed.becomes_another()

    assert await pull.step() is True
    with pytest.raises(FeedChanged):
        await pull.step()


async def test_whoever_is_overtaken_is_not_taken_for_an_older_database(
    pull: Pull,
) -> None:
    await pull.feed.says_orders(1)
    await pull.catches_up()
    slow = await pull.cursor()
    await pull.feed.says_orders(1)
    for _ in range(2):
        await pull.catches_up()
    newest = await pull.cursor()
    await pull.execute(update(feed_cursor).values(cursor=slow))

    async def is_overtaken() -> None:
        await pull.execute(update(feed_cursor).values(cursor=newest))

    pull.before_it_is_heard.append(is_overtaken)

    assert await pull.step() is True
    assert await pull.cursor() == newest


async def test_a_reaction_of_the_same_name_in_another_service_pulls_for_itself(
    pull: Pull, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    said = await pull.feed.says_orders(2)
    await pull.catches_up()
    await pull.step()
    (tmp_path / "statistics").mkdir()
    database = migrated("notification", tmp_path / "statistics")
    other = Pull(pull.feed, database, dapr)
    other.reconciler = other.another("statistics")

    await other.catches_up()
    await pull.catches_up()

    assert await other.taken() == said
    other.feed = Feed(migrated("order", tmp_path / "statistics"))
    await other.close()
