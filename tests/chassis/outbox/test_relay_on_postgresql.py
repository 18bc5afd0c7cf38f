"""Relays of several replicas, on one PostgreSQL: they share the work, and take nothing from each other."""

import asyncio
from collections.abc import Iterator

import pytest

from chassis.outbox.outbox import State
from chassis.outbox.relay import claim
from tests.chassis.test_relay import Outbox, box  # noqa: F401 - a fixture
from tests.support.database import on_postgresql
from tests.support.postgresql import Databases

pytestmark = pytest.mark.usefixtures("on_it")


@pytest.fixture
def on_it(databases: Databases) -> Iterator[None]:
    """Make every database on PostgreSQL."""
    with on_postgresql(databases):
        yield


async def test_two_relays_that_claim_at_once_wait_for_nobody(box: Outbox) -> None:  # noqa: F811
    said = await box.fill(2)

    async with box.database.write() as one, box.database.write() as another:
        (mine,) = await claim(one, "one", probing=True)
        claiming = claim(another, "another", probing=True)
        (others,) = await asyncio.wait_for(claiming, 5)

    assert [mine.event_id, others.event_id] == said


async def test_a_relay_that_starts_takes_nothing_from_another(box: Outbox) -> None:  # noqa: F811
    await box.fill(1)
    async with box.database.write() as session:
        await claim(session, "another", probing=False)

    await box.relay.reclaim()

    (row,) = await box.rows()
    assert (row.state, row.owner) == (State.LEASED, "another")
