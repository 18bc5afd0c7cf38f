"""The feed, asked by more at once than its database has connections."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.database import migrated
from tests.support.feeds import Feed

MANY = 60


@pytest.fixture
async def feed(each_database: None, tmp_path: Path) -> AsyncIterator[Feed]:
    """Return a feed that is empty."""
    database = migrated("order", tmp_path)
    yield Feed(database)
    await database.close()


async def test_many_consumers_that_ask_at_once_are_all_answered(
    feed: Feed,
) -> None:
    asking = (
        feed.asked(consumer=f"notification/reaction_{number}") for number in range(MANY)
    )
    async with asyncio.timeout(20):
        answers = await asyncio.gather(*asking)

    assert {each.status_code for each in answers} == {200}
