"""What a relay claims: nothing that another holds, nothing that is not due, and nothing for ever."""

from datetime import UTC, datetime, timedelta

import pytest

from chassis.outbox.outbox import State
from chassis.outbox.relay import LEASE, LONGEST_WAIT, Claimed, claim
from chassis.runtime.clock import CLOCKS_APART
from tests.chassis.test_relay import Outbox, box  # noqa: F401 - a fixture
from tests.support.simulated_dapr import SimulatedDapr

pytestmark = pytest.mark.usefixtures("each_database")


async def claimed_by(owner: str, box: Outbox) -> Claimed:  # noqa: F811
    """Let a relay claim what there is, and give it."""
    async with box.database.write() as session:
        return await claim(session, owner, probing=False)


async def test_two_relays_share_what_there_is(box: Outbox) -> None:  # noqa: F811
    (first,) = await box.fill(1)
    mine = await claimed_by("one", box)
    (second,) = await box.fill(1)

    others = await claimed_by("another", box)

    assert [row.event_id for row in mine] == [first]
    assert [row.event_id for row in others] == [second]


async def test_what_a_relay_holds_whose_clock_is_ahead_is_not_taken(
    box: Outbox,  # noqa: F811
) -> None:
    await box.fill(1)
    await claimed_by("one", box)
    await box.change(lease_until=datetime.now(UTC) + LEASE + CLOCKS_APART)

    assert await claimed_by("another", box) == []


async def test_a_relay_whose_lease_ran_out_marks_nothing_though_it_holds_it_again(
    box: Outbox,  # noqa: F811
) -> None:
    await box.fill(1)
    late = await claimed_by(box.relay.owner, box)
    await box.change(lease_until=datetime.now(UTC) - timedelta(seconds=1))
    (again,) = await claimed_by(box.relay.owner, box)

    await box.relay._mark(late, {})

    (row,) = await box.rows()
    assert (row.state, row.attempt) == (State.LEASED, again.attempt)


async def test_an_event_that_was_refused_waits_and_the_others_do_not(
    box: Outbox,  # noqa: F811
    dapr: SimulatedDapr,
) -> None:
    (bad,) = await box.fill(1)
    await box.fill(1)
    dapr.refused, now = {bad}, datetime.now(UTC)
    await box.relay.step()

    (refused, _) = await box.rows()
    assert refused.due_at > now
    await box.change(due_at=now + LONGEST_WAIT / 2)
    (later,) = await box.fill(1)
    await box.relay.step()

    assert dapr.batches == [2, 1]
    assert dapr.published[-1]["id"] == later


async def test_what_was_due_when_the_clock_was_ahead_is_due_now(
    box: Outbox,  # noqa: F811
) -> None:
    await box.fill(1)
    await box.change(due_at=datetime.now(UTC) + timedelta(days=365))

    await box.relay.step()

    assert await box.states() == [State.PUBLISHED]
