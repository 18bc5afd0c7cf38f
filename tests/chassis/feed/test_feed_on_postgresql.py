"""The feed on PostgreSQL, where transactions overlap: what commits late is not behind what was read."""

from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import text, update
from sqlalchemy.orm import Session

from chassis.database import Database
from chassis.database.hooks import run_batches
from chassis.feed import open_feed
from chassis.outbox.outbox import feed as feed_table
from chassis.outbox.outbox import outbox
from services.order.app import Settings, create_app
from tests.support.database import KEYS, secrets_in, upgrade
from tests.support.feeds import (
    Feed,
    Letter,
    append_letters,
    ids,
    open_transaction,
    order_created,
)
from tests.support.postgresql import Databases
from tests.support.services import running
from tests.support.simulated_dapr import SimulatedDapr


@pytest.fixture
def url(databases: Databases) -> Iterator[str]:
    """Return the URL of a database on the session's PostgreSQL."""
    template = databases.template("order template", partial(upgrade, "order"))
    with databases.fresh(template) as fresh:
        yield fresh


@pytest.fixture
async def feed(url: str) -> AsyncIterator[Feed]:
    """Return a feed that is empty."""
    database = Database(url, "order", keys=KEYS)
    yield Feed(database)
    await database.close()


def write(session: Session, letter: Letter) -> None:
    """Append an event and send it to the database, as just before the commit."""
    append_letters(session, letter)
    run_batches(session)


async def test_what_took_its_place_first_and_commits_last_is_not_passed(
    feed: Feed,
) -> None:
    late, early = order_created(), order_created()
    before = await feed.says_orders(1)

    async with open_transaction(feed.database) as session:
        write(session, late)
        await feed.says(early)
        meantime = await feed.page()
    rest = await feed.page(after=meantime["next"])

    assert ids(meantime) == before
    assert meantime["highWaterMark"] == meantime["next"]
    assert ids(rest) == [late[1]["id"], early[1]["id"]]


async def test_what_is_taken_back_is_not_waited_for(feed: Feed) -> None:
    later = "none"
    with suppress(ZeroDivisionError):
        async with open_transaction(feed.database) as session:
            write(session, order_created())
            (later,) = await feed.says_orders(1)
            assert ids(await feed.page()) == []
            raise ZeroDivisionError

    assert ids(await feed.page()) == [later]


async def test_a_later_transaction_may_take_an_earlier_position(feed: Feed) -> None:
    """The order is that of the transactions; the positions in it may go back."""
    database = feed.database
    async with (
        open_transaction(database) as first,
        open_transaction(database) as second,
    ):
        first.execute(text("SELECT pg_current_xact_id()"))
        write(second, order_created("second"))
        write(first, order_created("first"))

    page = await feed.page(limit=1)
    rest = await feed.page(after=page["next"])

    names = [each["data"]["customerName"] for each in page["events"] + rest["events"]]
    assert names == ["first", "second"]


async def test_a_transaction_that_only_reads_holds_nothing_up(feed: Feed) -> None:
    async with open_transaction(feed.database) as session:
        session.execute(text("SELECT * FROM outbox"))
        said = await feed.says_orders(1)

        assert ids(await feed.page()) == said


async def test_a_feed_that_was_restored_into_another_cluster_begins_anew(
    feed: Feed,
) -> None:
    """There the numbers of transactions begin anew, far below those that were restored."""
    before = await feed.says_orders(2)
    cursor = (await feed.page())["next"]
    await feed.execute(update(outbox).values(transaction=2**40))
    assert ids(await feed.page()) == []

    await open_feed(feed.database)

    later = await feed.says_orders(1)
    page = await feed.page()
    assert ids(page) == [*before, *later]
    assert page["highWaterMark"].partition(".")[0] != cursor.partition(".")[0]
    assert (await feed.asked(after=cursor)).status_code == 409


async def test_a_service_notices_that_its_feed_was_restored(
    feed: Feed, url: str, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    before = await feed.says_orders(2)
    await feed.execute(update(outbox).values(transaction=2**40))

    settings = Settings(database_url=url, secrets_folder=secrets_in(tmp_path))
    async with running(create_app(settings, dapr.sidecar())):
        assert ids(await feed.page()) == before


async def test_a_feed_that_is_where_it_was_goes_on(feed: Feed) -> None:
    await feed.says_orders(2)
    cursor = (await feed.page())["next"]

    await open_feed(feed.database)

    later = await feed.says_orders(1)
    assert ids(await feed.page(after=cursor)) == later


async def test_removed_events_of_the_old_cluster_expire_no_cursor_of_the_new_one(
    feed: Feed,
) -> None:
    (_, last, *_) = [*await feed.says_orders(2), *await feed.says_orders(1)]
    await feed.execute(
        update(outbox).values(transaction=2**40),
        update(feed_table).values(removed_transaction=2**39, removed_position=7),
    )

    await open_feed(feed.database)

    page = await feed.page(limit=2)
    assert (ids(page)[-1], page["removed"]) == (last, True)
    assert len(ids(await feed.page(after=page["next"]))) == 1


async def set_by(url: str, setting: str, configured: str) -> str:
    """Return what a setting is for us, where the database is configured otherwise."""
    first = Database(url, "order")
    async with open_transaction(first) as session:
        name = session.scalar(text("SELECT current_database()"))
        statement = f'ALTER DATABASE "{name}" SET {setting} = {configured}'
        session.execute(text(statement))
    await first.close()

    second = Database(url, "order")
    show = text(f"SHOW {setting}")
    found = await second.read(lambda session: session.scalar(show))
    await second.close()
    return str(found)


async def test_a_commit_is_on_disk_whatever_the_database_says(url: str) -> None:
    assert await set_by(url, "synchronous_commit", "off") == "on"


async def test_a_transaction_that_is_left_open_ends_whatever_the_database_says(
    url: str,
) -> None:
    """It would hold up the feed of events for as long as it is open."""
    ends = await set_by(url, "idle_in_transaction_session_timeout", "0")

    assert ends == "30s"
