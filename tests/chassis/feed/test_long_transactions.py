"""A transaction that stays open on PostgreSQL hides events from the feed: it is named, once."""

from collections.abc import AsyncIterator, Iterator
from functools import partial

import pytest
from sqlalchemy import text

from chassis.database import Database
from chassis.feed import LongTransactions
from chassis.feed.long_transactions import ALERT_AFTER
from tests.support.database import KEYS, upgrade
from tests.support.feeds import Feed, open_transaction
from tests.support.postgresql import Databases


@pytest.fixture
def url(databases: Databases) -> Iterator[str]:
    """Return the URL of a database on the session's PostgreSQL."""
    template = databases.template("order template", partial(upgrade, "order"))
    with databases.fresh(template) as fresh:
        yield fresh


class Watch:
    """The watch over a feed, on a clock that a test sets."""

    def __init__(self, url: str) -> None:
        self.now = 1000.0
        self.feed = Feed(Database(url, "order", keys=KEYS))
        self.watch = LongTransactions(self.feed.database, lambda: self.now)

    async def looks_after(self, seconds: float) -> None:
        """Look when so many seconds have passed."""
        self.now += seconds
        assert await self.watch.step() is False


@pytest.fixture
async def watch(url: str) -> AsyncIterator[Watch]:
    """Watch over a feed that is empty."""
    made = Watch(url)
    yield made
    await made.feed.database.close()


async def test_a_transaction_that_holds_the_feed_back_is_named_once(
    watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_transaction(watch.feed.database) as session:
        pid = session.scalar(text("SELECT pg_backend_pid() FROM pg_current_xact_id()"))
        await watch.feed.says_orders(2)
        await watch.looks_after(0)
        await watch.looks_after(ALERT_AFTER - 0.1)
        assert caplog.text == ""
        await watch.looks_after(0.1)
        await watch.looks_after(ALERT_AFTER)

    (said,) = [each.getMessage() for each in caplog.records]
    assert "2 committed events cannot be pulled" in said
    assert f"process {pid} of " in said


async def test_it_says_when_the_feed_moves_on_and_begins_to_count_anew(
    watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "chassis.feed")
    for _ in range(2):
        async with open_transaction(watch.feed.database) as session:
            session.execute(text("SELECT pg_current_xact_id()"))
            await watch.feed.says_orders(1)
            await watch.looks_after(0)
            await watch.looks_after(ALERT_AFTER)
        await watch.looks_after(1)

    levels = [each.levelname for each in caplog.records]
    assert levels == ["ERROR", "INFO"] * 2


async def test_an_open_transaction_that_holds_no_event_back_is_nobodys_trouble(
    watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    await watch.feed.says_orders(1)
    async with open_transaction(watch.feed.database) as session:
        session.execute(text("SELECT pg_current_xact_id()"))
        for _ in range(3):
            await watch.looks_after(ALERT_AFTER)

    assert caplog.text == ""


async def test_transactions_that_come_and_go_are_nobodys_trouble(
    watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        async with open_transaction(watch.feed.database) as session:
            session.execute(text("SELECT pg_current_xact_id()"))
            await watch.feed.says_orders(1)
            await watch.looks_after(ALERT_AFTER)

    assert caplog.text == ""


async def test_a_transaction_of_another_database_is_named_too(
    watch: Watch, databases: Databases, caplog: pytest.LogCaptureFixture
) -> None:
    template = databases.template("order template", partial(upgrade, "order"))
    with databases.fresh(template) as elsewhere:
        other = Database(elsewhere, "order")
        async with open_transaction(other) as session:
            name = session.scalar(
                text("SELECT current_database() FROM pg_current_xact_id()")
            )
            await watch.feed.says_orders(1)
            await watch.looks_after(0)
            await watch.looks_after(ALERT_AFTER)
        await other.close()

    assert f" in {name}, " in caplog.text
