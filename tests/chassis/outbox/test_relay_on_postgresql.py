"""Relays of several replicas, on one PostgreSQL: they share the work, and take nothing from each other."""

import asyncio
import threading
from collections.abc import Sequence

import pytest
from sqlalchemy.orm import Session

from chassis.outbox.leases import BATCH, lease
from chassis.outbox.outbox import Leased, State
from tests.chassis.outbox.outboxes import Box

pytestmark = pytest.mark.parametrize("each_database", ["postgresql"], indirect=True)


async def test_two_relays_that_lease_at_once_do_not_wait_for_each_other(
    box: Box,
) -> None:
    appended = await box.fill(2)
    has_leased, may_end = threading.Event(), threading.Event()

    def slowly(session: Session) -> Sequence[Leased]:
        leased = lease(session, "one", probing=True)
        has_leased.set()
        assert may_end.wait(30)
        return leased

    first = asyncio.create_task(box.database.write(slowly))
    await asyncio.to_thread(has_leased.wait, 30)
    (others,) = await asyncio.wait_for(box.lease("another", probing=True), 10)
    may_end.set()
    (mine,) = await first

    assert [mine.event_id, others.event_id] == appended


async def test_relays_at_once_lease_no_event_twice_and_no_more_than_a_batch(
    box: Box,
) -> None:
    appended = await box.fill(2 * BATCH + 50)

    batches = await asyncio.gather(*(box.lease(str(n)) for n in range(4)))

    found = [row.event_id for batch in batches for row in batch]
    assert len(found) == len(set(found))
    assert set(found) <= set(appended)
    assert max(map(len, batches)) == BATCH


async def test_a_relay_that_starts_takes_nothing_from_another(box: Box) -> None:
    await box.fill(1)
    await box.lease("another")

    await box.relay.release_own()

    (row,) = await box.rows()
    assert (row.state, row.owner) == (State.LEASED, "another")
