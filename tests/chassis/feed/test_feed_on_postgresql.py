"""The feed on PostgreSQL, where transactions overlap: what commits late is not behind what was read."""

from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import text, update

from chassis.database import migrate as migration
from chassis.database.unit_of_work import Database
from chassis.feed.feed import adopt
from chassis.outbox.outbox import outbox, put
from services.order.app import Settings, create_app
from tests.support.feeds import Feed, ids, meanwhile, order_created
from tests.support.postgresql import Databases
from tests.support.services import running
from tests.support.simulated_dapr import SimulatedDapr


@pytest.fixture
def url(databases: Databases) -> Iterator[str]:
    """Make a database on the session's PostgreSQL."""
    template = databases.template("order", partial(migration.upgrade, "order"))
    with databases.fresh(template) as fresh:
        yield fresh


@pytest.fixture
async def feed(url: str) -> AsyncIterator[Feed]:
    """Make a feed that is empty."""
    database = Database(url, "order")
    yield Feed(database)
    await database.close()


async def test_what_took_its_place_first_and_commits_last_is_not_passed(
    feed: Feed,
) -> None:
    late, early = order_created(), order_created()
    before = await feed.says_orders(1)

    async with feed.database.write() as session:
        await put(session, [late])
        await feed.says(early)
        meantime = await feed.page()
    rest = await feed.page(after=meantime["next"])

    assert ids(meantime) == before
    assert meantime["end"] == meantime["next"]
    assert ids(rest) == [late[1].id, early[1].id]


async def test_what_is_taken_back_is_not_waited_for(feed: Feed) -> None:
    later = "none"
    with suppress(ZeroDivisionError):
        async with feed.database.write() as session:
            await put(session, [order_created()])
            (later,) = await feed.says_orders(1)
            assert ids(await feed.page()) == []
            raise ZeroDivisionError

    assert ids(await feed.page()) == [later]


async def test_a_later_transaction_may_take_an_earlier_position(feed: Feed) -> None:
    """The order is that of the transactions; the positions in it may go back."""
    async with feed.database.write() as first, feed.database.write() as second:
        await first.execute(text("SELECT pg_current_xact_id()"))
        await put(second, [order_created("second")])
        await put(first, [order_created("first")])

    page = await feed.page(limit=1)
    rest = await feed.page(after=page["next"])

    names = [each["data"]["customerName"] for each in page["events"] + rest["events"]]
    assert names == ["first", "second"]


async def test_what_is_committed_while_a_page_is_read_belongs_to_the_next(
    feed: Feed,
) -> None:
    said = await feed.says_orders(1)

    with meanwhile(feed, "outbox.topic =", feed.says_orders):
        page = await feed.page()

    assert ids(page) == said
    assert page["next"] == page["end"]
    assert len(ids(await feed.page(after=page["next"]))) == 1


async def test_a_transaction_that_only_reads_holds_nothing_up(feed: Feed) -> None:
    async with feed.database.read() as session:
        await session.execute(text("SELECT * FROM outbox"))
        said = await feed.says_orders(1)

        assert ids(await feed.page()) == said


async def test_a_feed_is_read_page_by_page_to_its_end(feed: Feed) -> None:
    said = [*await feed.says_orders(3), *await feed.says_orders(2)]

    pages = [await feed.page(limit=2)]
    while pages[-1]["next"] != pages[-1]["end"]:
        pages.append(await feed.page(limit=2, after=pages[-1]["next"]))

    assert [ids(page) for page in pages] == [said[:2], said[2:4], said[4:]]


async def test_a_feed_that_was_restored_into_another_cluster_begins_anew(
    feed: Feed,
) -> None:
    """There the numbers of transactions begin anew, far below those that were restored."""
    before = await feed.says_orders(2)
    cursor = (await feed.page())["next"]
    async with feed.database.write() as session:
        await session.execute(update(outbox).values(transaction=2**40))
    assert ids(await feed.page()) == []

    await adopt(feed.database)

    later = await feed.says_orders(1)
    page = await feed.page()
    assert ids(page) == [*before, *later]
    assert page["end"].partition(".")[0] != cursor.partition(".")[0]
    assert (await feed.asked(after=cursor)).status_code == 409


async def test_a_service_notices_that_its_feed_was_restored(
    feed: Feed, url: str, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    before = await feed.says_orders(2)
    async with feed.database.write() as session:
        await session.execute(update(outbox).values(transaction=2**40))

    settings = Settings(database_url=url, feed_secret_file=tmp_path / "feed.secret")
    async with running(create_app(settings, dapr.sidecar())):
        assert ids(await feed.page()) == before


async def test_a_feed_that_is_where_it_was_goes_on(feed: Feed) -> None:
    await feed.says_orders(2)
    cursor = (await feed.page())["next"]

    await adopt(feed.database)

    later = await feed.says_orders(1)
    assert ids(await feed.page(after=cursor)) == later


async def set_by(url: str, setting: str, configured: str) -> str:
    """Give what a setting is for us, where the database is configured otherwise."""
    first = Database(url, "order")
    async with first.write() as session:
        name = await session.scalar(text("SELECT current_database()"))
        statement = f'ALTER DATABASE "{name}" SET {setting} = {configured}'
        await session.execute(text(statement))
    await first.close()

    second = Database(url, "order")
    async with second.read() as session:
        said = await session.scalar(text(f"SHOW {setting}"))
    await second.close()
    return str(said)


async def test_a_commit_is_on_disk_whatever_the_database_says(url: str) -> None:
    assert await set_by(url, "synchronous_commit", "off") == "on"


async def test_a_transaction_that_is_left_open_ends_whatever_the_database_says(
    url: str,
) -> None:
    """It would hold up the feed of events for as long as it is open."""
    ends = await set_by(url, "idle_in_transaction_session_timeout", "0")

    assert ends == "30s"
