"""Retention: what everybody has is deleted after a while, and nothing that somebody may still need."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import ColumnElement, Table, delete, func, insert, select, update

from chassis.feed.consumers import consumer
from chassis.http.idempotency import KEPT as KEY_KEPT
from chassis.http.idempotency import idempotency_key
from chassis.inbox.dead_letter import State as LetterState
from chassis.inbox.dead_letter import dead_letter
from chassis.inbox.parse import REMEMBERED
from chassis.inbox.reaction import inbox
from chassis.outbox.outbox import State, outbox
from chassis.pages.session import page_session
from chassis.reconciler.cursor import feed_cursor
from chassis.runtime import clock
from chassis.service.retention import (
    BATCH,
    LETTERS_KEPT,
    Job,
    Retention,
    delete_acknowledged_events,
    delete_ended_sessions,
    delete_expired_keys,
    delete_old_inbox_keys,
    delete_settled_letters,
)
from tests.support.database import migrated
from tests.support.feeds import Feed, another
from tests.support.pulls import Pull, pulling
from tests.support.simulated_dapr import SimulatedDapr

WEEK = timedelta(days=7)
HOUR = timedelta(hours=1)
delete_events = partial(delete_acknowledged_events, kept=WEEK)


@pytest.fixture
async def feed(each_database: None, tmp_path: Path) -> AsyncIterator[Feed]:
    """Create an empty feed."""
    database = migrated("order", tmp_path)
    yield Feed(database)
    await database.close()


@pytest.fixture
async def pull(
    each_database: None, tmp_path: Path, dapr: SimulatedDapr
) -> AsyncIterator[Pull]:
    """Create a feed, and its consumer."""
    async with pulling(tmp_path, dapr) as made:
        yield made


async def cleaned(feed: Feed, job: Job) -> int:
    """Run a job until it deletes nothing; return how many rows it deleted."""
    total = 0
    while deleted := await feed.database.write(job):
        assert deleted <= BATCH
        total += deleted
    return total


async def are_so_old(feed: Feed, age: timedelta, **values: object) -> None:
    """Make every event so old, and published."""
    made = {"created_at": clock.now() - age, "state": State.PUBLISHED, **values}
    await feed.execute(update(outbox).values(made))


async def positions(feed: Feed) -> list[int]:
    """Return the positions of the events that are there."""
    return [row.position for row in await feed.stored()]


async def count(feed: Feed, table: Table, *which: ColumnElement[bool]) -> int:
    """Return how many rows of a table there are."""
    rows = select(func.count()).select_from(table).where(*which)
    return await feed.database.read(lambda session: session.scalar(rows)) or 0


async def insert_rows(
    feed: Feed, table: Table, rows: Sequence[dict[str, object]]
) -> None:
    """Insert rows, each with its own columns."""
    await feed.execute(*(insert(table).values(row) for row in rows))


async def page_of(feed: Feed, name: str = "app/a", **query: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return a page as a consumer reads it, which acknowledges what is before it."""
    return await feed.page(consumer=name, **query)


async def acknowledges_all(feed: Feed, name: str = "app/a") -> None:
    """Read up to the newest event, and acknowledge it."""
    await page_of(feed, name, after=(await feed.page())["next"])


async def test_what_every_consumer_has_acknowledged_is_deleted_after_a_while(
    feed: Feed,
) -> None:
    await feed.says_orders(4)
    await are_so_old(feed, WEEK + HOUR)
    second = (await page_of(feed, limit=2))["next"]
    third = (await page_of(feed, limit=3))["next"]
    await page_of(feed, "app/a", after=third)
    await page_of(feed, "app/b", after=second)

    await cleaned(feed, delete_events)

    assert await positions(feed) == [2, 3, 4]
    assert len((await page_of(feed, "app/b", after=second))["events"]) == 2


async def test_an_event_that_is_not_that_old_is_kept(feed: Feed) -> None:
    await feed.says_orders(3)
    await are_so_old(feed, WEEK - HOUR)
    await acknowledges_all(feed)

    await cleaned(feed, delete_events)

    assert await positions(feed) == [1, 2, 3]


async def test_a_topic_without_consumers_is_kept(feed: Feed) -> None:
    await feed.says(another())
    await feed.says_orders(2)
    await are_so_old(feed, WEEK + HOUR)
    await acknowledges_all(feed)

    await cleaned(feed, delete_events)

    assert await positions(feed) == [1, 3]


@pytest.mark.parametrize("state", [State.PENDING, State.LEASED, State.PARKED])
async def test_what_the_broker_does_not_have_is_kept(feed: Feed, state: State) -> None:
    await feed.says_orders(2)
    await are_so_old(feed, WEEK + HOUR, state=state)
    await acknowledges_all(feed)

    await cleaned(feed, delete_events)

    assert await positions(feed) == [1, 2]


async def test_what_is_only_pulled_is_deleted_once_it_is_acknowledged(
    feed: Feed,
) -> None:
    await feed.says_orders(2)
    await are_so_old(feed, WEEK + HOUR, state=State.PULL_ONLY)
    await acknowledges_all(feed)

    await cleaned(feed, delete_events)

    assert await positions(feed) == [2]


async def test_a_consumer_that_resets_keeps_everything(feed: Feed) -> None:
    await feed.says_orders(3)
    await are_so_old(feed, WEEK + HOUR)
    await acknowledges_all(feed)
    await page_of(feed, reset="true")

    await cleaned(feed, delete_events)

    assert await positions(feed) == [1, 2, 3]


async def test_whoever_reads_without_a_name_is_no_consumer(feed: Feed) -> None:
    await feed.says_orders(3)

    await feed.page()

    assert await count(feed, consumer) == 0


async def test_a_cursor_to_what_was_deleted_is_refused(feed: Feed) -> None:
    await feed.says_orders(3)
    await are_so_old(feed, WEEK + HOUR)
    first = (await feed.page(limit=1))["next"]
    await acknowledges_all(feed)
    await cleaned(feed, delete_events)

    answer = await feed.asked(after=first)

    assert answer.status_code == 410
    assert answer.json()["type"] == "urn:problem-type:cursor-expired"


async def test_a_step_deletes_so_many_at_most_and_says_that_there_may_be_more(
    feed: Feed,
) -> None:
    await feed.says_orders(BATCH + 2)
    await are_so_old(feed, WEEK + HOUR)
    await acknowledges_all(feed)
    retention = Retention(feed.database, days=7)

    assert [await retention.step() for _ in range(2)] == [True, False]

    assert len(await positions(feed)) == 1


async def test_a_step_cleans_every_table(feed: Feed) -> None:
    """The jobs themselves have tests of their own."""
    await feed.says_orders(2)
    long_ago = clock.now() - timedelta(days=365)
    await are_so_old(feed, timedelta(days=365))
    await acknowledges_all(feed)
    key = {"reaction": "a", "event_id": "b"}
    letter = {
        "reaction": "a",
        "reason": "b",
        "body": b"",
        "fingerprint": "f",
        "state": "DISCARDED",
    }
    await insert_rows(feed, inbox, [{**key, "handled_at": long_ago}])
    times = {"received_at": long_ago, "discarded_at": long_ago}
    await insert_rows(feed, dead_letter, [{**letter, **times}])
    await insert_rows(feed, idempotency_key, [_idempotency_key(long_ago)])

    assert not await Retention(feed.database, days=7).step()

    tables = (inbox, dead_letter, idempotency_key)
    assert [await count(feed, each) for each in tables] == [0, 0, 0]
    assert len(await positions(feed)) == 1


def _idempotency_key(created_at: object, key: str = "a") -> dict[str, object]:
    answer = {"status": 201, "headers": "{}", "body": b""}
    return {
        "scope": "",
        "key": key,
        "fingerprint": b"",
        "created_at": created_at,
        **answer,
    }


async def test_idempotency_keys_are_deleted_once_nobody_may_repeat_them(
    feed: Feed,
) -> None:
    ages = {"old": KEY_KEPT + HOUR, "new": KEY_KEPT - HOUR, "ahead": -KEY_KEPT - HOUR}
    keys = [_idempotency_key(clock.now() - age, key) for key, age in ages.items()]
    await insert_rows(feed, idempotency_key, keys)

    assert await cleaned(feed, delete_expired_keys) == 2

    assert await count(feed, idempotency_key, idempotency_key.c.key == "new") == 1


async def test_keys_of_the_inbox_are_deleted_long_after_unless_a_letter_holds_them(
    feed: Feed,
) -> None:
    ages = {
        "old": REMEMBERED + HOUR,
        "new": REMEMBERED - HOUR,
        "held": REMEMBERED + HOUR,
    }
    keys: list[dict[str, object]] = [
        {"reaction": "a", "event_id": key, "handled_at": clock.now() - age}
        for key, age in ages.items()
    ]
    await insert_rows(feed, inbox, keys)
    letter = {
        "reaction": "a",
        "reason": "b",
        "body": b"",
        "fingerprint": "f",
        "event_id": "held",
    }
    of_another = {**letter, "reaction": "b", "event_id": "old"}
    now = {"received_at": clock.now()}
    await insert_rows(feed, dead_letter, [{**letter, **now}, {**of_another, **now}])

    assert await cleaned(feed, delete_old_inbox_keys) == 1

    assert await count(feed, inbox, inbox.c.event_id == "old") == 0


async def test_settled_letters_are_deleted_and_open_ones_stay(feed: Feed) -> None:
    long_ago = clock.now() - LETTERS_KEPT - HOUR
    letter = {
        "reaction": "a",
        "reason": "b",
        "body": b"",
        "fingerprint": "f",
        "received_at": long_ago,
    }
    await insert_rows(
        feed,
        dead_letter,
        [
            {**letter, "state": LetterState.REPLAYED, "replayed_at": long_ago},
            {**letter, "state": LetterState.REPLAYED, "replayed_at": clock.now()},
            {**letter, "state": LetterState.DISCARDED, "discarded_at": long_ago},
            {**letter, "state": LetterState.DISCARDED, "discarded_at": clock.now()},
            {**letter, "state": LetterState.OPEN},
        ],
    )

    assert await cleaned(feed, delete_settled_letters) == 2

    assert await count(feed, dead_letter, dead_letter.c.state == LetterState.OPEN) == 1


async def test_a_consumer_that_was_away_for_too_long_resets_and_handles_nothing_twice(
    pull: Pull,
) -> None:
    published = await pull.feed.says_orders(3)
    await pull.catches_up()
    first = (await pull.feed.page(limit=1))["next"]
    await are_so_old(pull.feed, WEEK + HOUR)
    await acknowledges_all(pull.feed)
    await acknowledges_all(pull.feed, f"notification/{pull.reconciler.reaction.name}")
    await cleaned(pull.feed, delete_events)
    await pull.execute(update(feed_cursor).values(cursor=first))
    # An operator took it for gone.
    await pull.feed.execute(delete(consumer))
    late = await pull.feed.says_orders(1)

    await pull.catches_up()
    await pull.catches_up()

    assert await pull.taken() == [*published, *late]
    assert await pull.dead() == []


async def test_sessions_of_pages_are_deleted_once_they_have_ended(feed: Feed) -> None:
    who = {"subject": "olga", "name": "Olga", "scopes": "operate"}
    ends = {b"old": clock.now() - HOUR, b"new": clock.now() + HOUR}
    rows = [{**who, "id": id_, "expires_at": each} for id_, each in ends.items()]
    await insert_rows(feed, page_session, rows)

    assert await cleaned(feed, delete_ended_sessions) == 1

    assert await count(feed, page_session, page_session.c.id == b"new") == 1
