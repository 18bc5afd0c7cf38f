"""Housekeeping: what everybody has is forgotten after a while, and nothing that somebody may still need."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import ColumnElement, Table, delete, func, insert, select, update

from chassis.feed.consumers import Readers, feed_reader
from chassis.inbox.dead_letter import State as LetterState
from chassis.inbox.dead_letter import dead_letter
from chassis.inbox.inbox import inbox
from chassis.outbox.outbox import State, outbox
from chassis.reconciler.cursor import feed_cursor
from chassis.reconciler.reconciler import RebuildNeeded
from chassis.runtime import clock
from chassis.service.retention import (
    BATCH,
    INBOX_KEPT,
    LETTERS_KEPT,
    Housekeeping,
    Job,
    forget_read_events,
    forget_settled_letters,
    forget_taken_in,
)
from tests.chassis.test_reconciler import pull  # noqa: F401 - a fixture
from tests.support.database import migrated
from tests.support.feeds import Feed, another
from tests.support.pulls import Pull

WEEK = timedelta(days=7)
HOUR = timedelta(hours=1)


@pytest.fixture
async def feed(tmp_path: Path) -> AsyncIterator[Feed]:
    """Make a feed that is empty."""
    database = migrated("order", tmp_path)
    yield Feed(database)
    await database.close()


async def cleaned(feed: Feed, job: Job) -> int:
    """Let a job do all that it can; give the rounds that it took."""
    housekeeping, rounds = Housekeeping(feed.database, [job]), 1
    while await housekeeping.step():
        rounds += 1
    return rounds


async def are_so_old(feed: Feed, age: timedelta, **values: object) -> None:
    """Let every event have been made so long ago, and have been published."""
    made = {"created_at": clock.now() - age, "state": State.PUBLISHED, **values}
    async with feed.database.write() as session:
        await session.execute(update(outbox).values(made))


async def positions(feed: Feed) -> list[int]:
    """Give the positions of the events that are there."""
    return [row.position for row in await feed.stored()]


async def count(feed: Feed, table: Table, *which: ColumnElement[bool]) -> int:
    """Count the rows of a table."""
    async with feed.database.read() as session:
        rows = select(func.count()).select_from(table).where(*which)
        return await session.scalar(rows) or 0


async def reads(feed: Feed, reader: str = "a", **query: Any) -> dict[str, Any]:  # noqa: ANN401
    """Let a reader read on from where it is; give the page."""
    return await feed.page(reader=reader, **query)


async def test_what_every_reader_has_taken_in_is_forgotten_after_a_while(
    feed: Feed,
) -> None:
    await feed.says_orders(4)
    await are_so_old(feed, WEEK + HOUR)
    second = (await reads(feed, limit=2))["next"]
    third = (await reads(feed, limit=3))["next"]
    await reads(feed, "a", after=third)
    await reads(feed, "b", after=second)

    await cleaned(feed, forget_read_events(WEEK))

    assert await positions(feed) == [2, 3, 4]
    assert len((await reads(feed, "b", after=second))["events"]) == 2


async def test_what_is_not_that_old_is_kept(feed: Feed) -> None:
    await feed.says_orders(3)
    await are_so_old(feed, WEEK - HOUR)
    await reads(feed, after=(await reads(feed))["next"])

    await cleaned(feed, forget_read_events(WEEK))

    assert await positions(feed) == [1, 2, 3]


async def test_what_nobody_reads_is_kept(feed: Feed) -> None:
    await feed.says(another())
    await feed.says_orders(2)
    await are_so_old(feed, WEEK + HOUR)
    await reads(feed, after=(await reads(feed))["next"])

    await cleaned(feed, forget_read_events(WEEK))

    assert await positions(feed) == [1, 3]


@pytest.mark.parametrize("state", [State.PENDING, State.LEASED, State.PARKED])
async def test_what_is_not_through_the_broker_is_kept(feed: Feed, state: State) -> None:
    await feed.says_orders(2)
    await are_so_old(feed, WEEK + HOUR, state=state)
    await reads(feed, after=(await reads(feed))["next"])

    await cleaned(feed, forget_read_events(WEEK))

    assert await positions(feed) == [1, 2]


async def test_a_reader_that_begins_anew_holds_everything(feed: Feed) -> None:
    await feed.says_orders(3)
    await are_so_old(feed, WEEK + HOUR)
    await reads(feed, after=(await reads(feed))["next"])
    await reads(feed, anew="true")

    await cleaned(feed, forget_read_events(WEEK))

    assert await positions(feed) == [1, 2, 3]


async def test_who_only_looks_is_no_reader(feed: Feed) -> None:
    await feed.says_orders(3)

    await feed.page()

    assert await count(feed, feed_reader) == 0


async def test_whoever_asks_after_what_is_gone_is_told(feed: Feed) -> None:
    await feed.says_orders(3)
    await are_so_old(feed, WEEK + HOUR)
    first = (await feed.page(limit=1))["next"]
    await reads(feed, after=(await reads(feed))["next"])
    await cleaned(feed, forget_read_events(WEEK))

    answer = await feed.asked(after=first)

    assert answer.status_code == 410
    assert answer.json()["type"] == "urn:problem-type:feed-gone"


async def test_a_round_deletes_so_many_at_most_and_goes_on_while_there_are_more(
    feed: Feed,
) -> None:
    await feed.says_orders(BATCH + 2)
    await are_so_old(feed, WEEK + HOUR)
    await reads(feed, after=(await reads(feed))["next"])

    assert await cleaned(feed, forget_read_events(WEEK)) == 2
    assert len(await positions(feed)) == 1


async def test_keys_of_the_inbox_are_forgotten_long_after(feed: Feed) -> None:
    ages = (INBOX_KEPT + HOUR, INBOX_KEPT - HOUR)
    rows = [
        {
            "reaction": "a",
            "event_id": str(age),
            "digest": b"",
            "taken_at": clock.now() - age,
        }
        for age in ages
    ]
    async with feed.database.write() as session:
        await session.execute(insert(inbox), rows)

    await cleaned(feed, forget_taken_in)

    assert await count(feed, inbox) == 1
    assert await count(feed, inbox, inbox.c.event_id == str(ages[1])) == 1


async def test_settled_letters_are_forgotten_and_open_ones_stay(feed: Feed) -> None:
    long_ago = clock.now() - LETTERS_KEPT - HOUR
    letter = {"reaction": "a", "reason": "b", "body": b"", "received_at": long_ago}
    rows = [
        {**letter, "state": LetterState.REPLAYED, "replayed_at": long_ago},
        {**letter, "state": LetterState.REPLAYED, "replayed_at": clock.now()},
        {**letter, "state": LetterState.DISCARDED, "discarded_at": long_ago},
        {**letter, "state": LetterState.DISCARDED, "discarded_at": clock.now()},
        {**letter, "state": LetterState.OPEN},
    ]
    async with feed.database.write() as session:
        for row in rows:
            await session.execute(insert(dead_letter).values(row))

    await cleaned(feed, forget_settled_letters)

    assert await count(feed, dead_letter) == 3
    assert await count(feed, dead_letter, dead_letter.c.state == LetterState.OPEN) == 1


async def test_a_consumer_that_was_away_for_too_long_begins_anew_and_takes_nothing_in_twice(
    pull: Pull,  # noqa: F811
) -> None:
    said = await pull.feed.says_orders(3)
    await pull.catches_up()
    first = (await pull.feed.page(limit=1))["next"]
    await are_so_old(pull.feed, WEEK + HOUR)
    await reads(pull.feed, after=(await pull.feed.page())["next"])
    await reads(
        pull.feed, pull.reconciler.reaction.name, after=(await pull.feed.page())["next"]
    )
    await cleaned(pull.feed, forget_read_events(WEEK))
    async with pull.database.write() as session:
        await session.execute(update(feed_cursor).values(cursor=first))
    async with pull.feed.database.write() as session:  # an operator took it for gone
        await session.execute(delete(feed_reader))
    pull.feed.app.state.readers = Readers(pull.feed.database)
    late = await pull.feed.says_orders(1)

    await pull.catches_up()
    await pull.catches_up()

    assert await pull.taken() == [*said, *late]
    assert await pull.dead() == []


async def test_a_reader_that_has_gone_back_is_told_so_unless_it_begins_anew(
    feed: Feed,
) -> None:
    await feed.says_orders(2)
    first = (await feed.page(limit=1))["next"]
    await reads(feed, after=(await reads(feed))["next"])

    for earlier in (first, ""):
        answer = await feed.asked(reader="a", after=earlier)
        assert answer.status_code == 409
        assert answer.json()["type"] == "urn:problem-type:reader-went-back"

    assert len((await reads(feed, anew="true"))["events"]) == 2
    assert len((await reads(feed, "b"))["events"]) == 2


async def test_a_process_that_is_slower_than_another_goes_on(pull: Pull) -> None:  # noqa: F811
    said = await pull.feed.says_orders(1)
    await pull.catches_up()
    slow = (await pull.cursor()) or ""
    said += await pull.feed.says_orders(1)
    await pull.catches_up()
    await pull.catches_up()
    newest = await pull.cursor()
    async with pull.database.write() as session:
        await session.execute(update(feed_cursor).values(cursor=slow))

    async def is_overtaken() -> None:
        async with pull.database.write() as session:
            await session.execute(update(feed_cursor).values(cursor=newest))

    pull.before_it_is_heard.append(is_overtaken)

    assert await pull.step() is True
    assert await pull.taken() == said
    assert await pull.cursor() == newest


async def test_a_database_that_was_restored_is_noticed_and_takes_nothing(
    pull: Pull,  # noqa: F811
) -> None:
    said = await pull.feed.says_orders(1)
    await pull.catches_up()
    backup = await pull.cursor()
    said += await pull.feed.says_orders(1)
    await pull.catches_up()
    await pull.catches_up()
    async with pull.database.write() as session:
        await session.execute(update(feed_cursor).values(cursor=backup))
        await session.execute(delete(inbox).where(inbox.c.event_id == said[1]))

    with pytest.raises(RebuildNeeded, match="an older one"):
        await pull.step()

    assert set(await pull.taken()) == set(said)
    assert await pull.cursor() == backup
