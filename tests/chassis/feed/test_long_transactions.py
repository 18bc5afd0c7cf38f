"""A transaction that stays open on PostgreSQL hides events from the feed: it is named."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import text, update

from chassis.database import Database
from chassis.feed import LongTransactions
from chassis.feed.long_transactions import ALERT_AFTER
from chassis.outbox.outbox import outbox
from chassis.runtime import clock
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
    """The watch over a feed."""

    def __init__(self, url: str) -> None:
        self.feed = Feed(Database(url, "order", keys=KEYS))
        self.watch = LongTransactions(self.feed.database)

    async def looks_after(self, time: timedelta) -> None:
        """Look as if every event had been committed so long before."""
        aged = update(outbox).values(created_at=clock.now() - time)
        await self.feed.database.write(lambda session: session.execute(aged))
        assert await self.watch.step() is False


@pytest.fixture
async def watch(url: str) -> AsyncIterator[Watch]:
    """Watch over a feed that is empty."""
    made = Watch(url)
    yield made
    await made.feed.database.close()


async def test_a_transaction_that_holds_the_feed_back_is_named(
    watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_transaction(watch.feed.database) as session:
        pid = session.scalar(text("SELECT pg_backend_pid() FROM pg_current_xact_id()"))
        await watch.feed.says_orders(2)
        await watch.looks_after(ALERT_AFTER / 2)
        assert caplog.text == ""
        await watch.looks_after(ALERT_AFTER)
    await watch.looks_after(ALERT_AFTER)

    (said,) = [each.getMessage() for each in caplog.records]
    assert "2 committed events cannot be pulled" in said
    assert f"process {pid} of " in said


async def test_an_open_transaction_that_holds_no_event_back_is_nobodys_trouble(
    watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    await watch.feed.says_orders(1)
    async with open_transaction(watch.feed.database) as session:
        session.execute(text("SELECT pg_current_xact_id()"))
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
            await watch.looks_after(ALERT_AFTER)
        await other.close()

    assert f" in {name}, " in caplog.text


async def test_a_database_that_is_restored_into_a_younger_cluster_while_it_is_used_is_noticed(
    watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its events are hidden as well, and no transaction is open: the feed begins anew."""
    before = await watch.feed.says_orders(2)
    await watch.feed.execute(update(outbox).values(transaction=2**40))

    await watch.looks_after(ALERT_AFTER)

    page = await watch.feed.page()
    assert [each["id"] for each in page["events"]] == before
    assert "restored into another cluster" in caplog.text
    assert "pg_terminate_backend" not in caplog.text
