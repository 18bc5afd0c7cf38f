"""Partitions on PostgreSQL: they are made ahead, and go as a whole when nothing in them is needed."""

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert, text, update
from sqlalchemy.orm import Session

from chassis.database import Database, partitions
from chassis.feed.consumers import consumer
from chassis.inbox.dead_letter import dead_letter
from chassis.inbox.parse import REMEMBERED
from chassis.inbox.reaction import inbox
from chassis.outbox.outbox import State, outbox
from chassis.runtime import clock
from chassis.runtime.ids import first_id
from chassis.service.retention import Retention
from tests.support.database import KEYS, execute, upgrade
from tests.support.feeds import Feed, ids, open_transaction
from tests.support.postgresql import Databases

ROOT = Path(__file__).parents[3]
DAY = timedelta(days=1)


def convert(url: str) -> str:
    """Convert a database by the command of docs/databases.md; return what it prints."""
    python = ("env", f"DATABASE_URL={url}", sys.executable)
    command = (*python, "-m", "chassis.database.partitions")
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert not done.returncode, done.stderr
    return done.stdout


@pytest.fixture
def url(databases: Databases) -> Iterator[str]:
    """Make an order service's database with partitions."""
    plain = databases.template("order template", lambda url: upgrade("order", url))
    with databases.fresh(plain) as fresh:
        yield fresh


@pytest.fixture
async def feed(url: str) -> AsyncIterator[Feed]:
    """Open a feed that was converted while it had one event."""
    database = Database(url, "order", keys=KEYS)
    made = Feed(database)
    await made.says_orders(1)
    convert(url)
    yield made
    await database.close()


async def names(feed: Feed, table: str = "outbox") -> list[str]:
    """Return the names of a table's partitions."""
    query = text(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = to_regclass(:name) ORDER BY 1"
    )
    return list(
        await feed.database.read(
            lambda session: session.scalars(query, {"name": table}).all()
        )
    )


async def old_partition(feed: Feed, age: timedelta, events: int = 1) -> str:
    """Make a partition of a day that is long over, with events; return its name."""
    begin = clock.now().replace(hour=0, minute=0, second=0, microsecond=0) - age
    name = f"outbox_{begin:%Y%m%d}"
    lower, upper = map(partitions.bound, (begin, begin + DAY))
    await execute(
        feed.database,
        f"CREATE TABLE {name} PARTITION OF outbox FOR VALUES FROM ('{lower}') TO ('{upper}')",
    )
    for number in range(events):
        said = await feed.says_orders(1)
        moved = first_id(begin + timedelta(minutes=1 + number))
        values = {"event_id": str(moved), "created_at": begin, "state": State.PUBLISHED}
        await feed.execute(
            update(outbox).where(outbox.c.event_id == said[0]).values(values)
        )
    return name


async def retention(feed: Feed) -> None:
    """Take retention's step as a service that has just started does."""
    await Retention(feed.database, days=7).step()


async def acknowledges_all(feed: Feed) -> None:
    """Read up to the newest event, and acknowledge it."""
    newest = (await feed.page())["next"]
    await feed.page(consumer="app/a", after=newest)


async def test_a_table_is_converted_in_place_and_only_once(
    feed: Feed, url: str
) -> None:
    before = ids(await feed.page())

    assert "outbox had partitions already" in convert(url)

    later = await feed.says_orders(2)
    assert ids(await feed.page()) == [*before, *later]
    assert await names(feed) == ["outbox_default"]


async def test_a_table_that_is_in_use_is_converted_later_and_the_service_writes_meanwhile(
    url: str,
) -> None:
    database = Database(url, "order", keys=KEYS)
    feed = Feed(database)
    async with open_transaction(database) as session:
        session.execute(text("SELECT 1 FROM inbox"))
        with pytest.raises(AssertionError, match="Not now"):
            convert(url)
        await feed.says_orders(1)
    assert "inbox has partitions now" in convert(url)

    assert len(ids(await feed.page())) == 1
    await database.close()


async def test_partitions_are_made_ahead_and_what_comes_is_in_them(feed: Feed) -> None:
    await retention(feed)
    await retention(feed)

    tomorrow = clock.now() + DAY
    assert f"outbox_{tomorrow:%Y%m%d}" in await names(feed)
    assert len(await names(feed, "inbox")) == 1 + partitions.AHEAD
    later = clock.now() + 7 * DAY
    key = {"reaction": "a", "event_id": str(first_id(later)), "handled_at": later}
    await feed.execute(insert(inbox).values(key))
    rows = text("SELECT count(*) FROM inbox_default")
    assert await feed.database.read(lambda session: session.scalar(rows)) == 0


async def test_no_partition_is_made_of_the_present_for_whoever_inserts_meanwhile(
    url: str,
) -> None:
    convert(url)
    database = Database(url, "order", keys=KEYS)
    empty = Feed(database)

    await retention(empty)

    assert f"outbox_{clock.now():%Y%m%d}" not in await names(empty)
    await database.close()


async def test_what_has_no_partition_is_refused_by_nobody(feed: Feed) -> None:
    strange = {"reaction": "a", "event_id": "no uuid", "handled_at": clock.now()}

    await feed.execute(insert(inbox).values(strange))

    rows = text("SELECT event_id FROM inbox_default")
    assert await feed.database.read(lambda session: session.scalar(rows)) == "no uuid"


async def test_a_partition_goes_as_a_whole_when_everybody_has_what_is_in_it(
    feed: Feed,
) -> None:
    name = await old_partition(feed, 10 * DAY, events=3)
    first = (await feed.page(limit=2))["next"]
    await feed.says_orders(1)
    await acknowledges_all(feed)

    await retention(feed)

    assert name not in await names(feed)
    assert len(ids(await feed.page())) == 2
    assert (await feed.asked(after=first)).status_code == 410


@pytest.mark.parametrize("state", [State.PENDING, State.LEASED, State.PARKED])
async def test_a_partition_with_what_the_broker_does_not_have_stays(
    feed: Feed, state: State
) -> None:
    name = await old_partition(feed, 10 * DAY, events=2)
    await feed.says_orders(1)
    await acknowledges_all(feed)
    oldest = str(first_id(clock.now() - 9 * DAY))
    waits = update(outbox).where(outbox.c.event_id < oldest).values(state=state)
    await feed.execute(waits)

    await retention(feed)

    assert name in await names(feed)


async def test_a_partition_stays_below_which_a_consumer_is(feed: Feed) -> None:
    name = await old_partition(feed, 10 * DAY, events=3)
    behind = (await feed.page(limit=2))["next"]
    await acknowledges_all(feed)
    await feed.page(consumer="app/b", after=behind)

    await retention(feed)

    assert name in await names(feed)
    assert len(ids(await feed.page(after=behind))) == 2


async def test_a_partition_of_a_topic_that_nobody_has_read_stays(feed: Feed) -> None:
    name = await old_partition(feed, 10 * DAY)
    await feed.says_orders(1)
    await acknowledges_all(feed)
    await feed.execute(update(consumer).values(topic="Another"))

    await retention(feed)

    assert name in await names(feed)


async def test_of_a_partition_that_stays_the_rest_is_deleted_row_by_row(
    feed: Feed,
) -> None:
    name = await old_partition(feed, 10 * DAY, events=3)
    await feed.says_orders(1)
    await acknowledges_all(feed)
    parked = update(outbox).where(outbox.c.position == 3).values(state=State.PARKED)
    await feed.execute(parked)
    await retention(feed)

    rows = text(f"SELECT position FROM {name}")  # noqa: S608 - its own name
    left = await feed.database.read(lambda session: session.scalars(rows).all())
    assert left == [3]


async def test_what_a_partition_will_take_with_it_is_not_deleted_before(
    feed: Feed,
) -> None:
    name = await old_partition(feed, 7 * DAY, events=2)
    await feed.says_orders(1)
    await acknowledges_all(feed)
    age = update(outbox).values(created_at=clock.now() - 8 * DAY)
    await feed.execute(age)

    await retention(feed)

    rows = text(f"SELECT count(*) FROM {name}")  # noqa: S608 - its own name
    assert await feed.database.read(lambda session: session.scalar(rows)) == 2


async def test_keys_of_the_inbox_go_with_their_partition_unless_a_letter_holds_one(
    feed: Feed,
) -> None:
    ages = [REMEMBERED + 30 * DAY, REMEMBERED + 20 * DAY]
    rows = []
    for age in ages:
        begin = clock.now() - age
        lower, upper = map(partitions.bound, (begin, begin + DAY))
        await execute(
            feed.database,
            f"CREATE TABLE inbox_{begin:%Y%m%d} PARTITION OF inbox FOR VALUES FROM ('{lower}') TO ('{upper}')",
        )
        rows.append({"reaction": "a", "event_id": lower, "handled_at": begin})
    await feed.execute(insert(inbox).values(rows))
    letter = {"reaction": "a", "reason": "b", "body": b"", "fingerprint": "f"}
    held = {**letter, "event_id": rows[0]["event_id"], "received_at": clock.now()}
    await feed.execute(insert(dead_letter).values(held))

    await retention(feed)

    left = [each for each in await names(feed, "inbox") if each != "inbox_default"]
    assert f"inbox_{clock.now() - ages[0]:%Y%m%d}" in left
    assert f"inbox_{clock.now() - ages[1]:%Y%m%d}" not in left


async def test_whoever_uses_the_table_for_long_puts_a_change_off_and_nothing_fails(
    feed: Feed,
) -> None:
    name = await old_partition(feed, 10 * DAY)
    await feed.says_orders(1)
    await acknowledges_all(feed)
    async with open_transaction(feed.database) as session:
        session.execute(text("SELECT 1 FROM outbox"))

        await retention(feed)
        assert name in await names(feed)

    await retention(feed)

    assert name not in await names(feed)


async def test_two_replicas_change_partitions_one_after_the_other(feed: Feed) -> None:
    async with open_transaction(feed.database) as session:
        assert partitions.changing(session)

        def other(session: Session) -> bool:
            return partitions.changing(session)

        assert not await feed.database.write(other)
