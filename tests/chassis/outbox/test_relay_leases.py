"""What a relay leases: nothing that another holds, nothing that is not due, and nothing for ever."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from chassis.outbox import leases
from chassis.outbox.leases import LONGEST_WAIT, MAX_REFUSALS
from chassis.outbox.outbox import LEASE, Leased, State
from chassis.runtime.clock import CLOCKS_APART
from tests.chassis.outbox.outboxes import Box
from tests.support.simulated_dapr import SimulatedDapr


async def mark(box: Box, leased: Sequence[Leased]) -> None:
    """Mark what was leased as published, as the relay does."""
    await box.database.write(lambda session: leases.mark(session, leased, {}))


async def test_two_relays_share_what_there_is(box: Box) -> None:
    (first,) = await box.fill(1)
    mine = await box.lease("one")
    (second,) = await box.fill(1)

    others = await box.lease("another")

    assert [row.event_id for row in mine] == [first]
    assert [row.event_id for row in others] == [second]


async def test_what_a_relay_holds_whose_clock_is_ahead_is_not_leased(
    box: Box,
) -> None:
    await box.fill(1)
    await box.lease("one")
    await box.change(lease_until=datetime.now(UTC) + LEASE + CLOCKS_APART)

    assert await box.lease("another") == []


@pytest.mark.parametrize(
    "lease",
    [
        pytest.param(timedelta(seconds=-1), id="expired"),
        pytest.param(LEASE + CLOCKS_APART + timedelta(minutes=1), id="clock set back"),
    ],
)
async def test_an_expired_lease_is_taken_by_the_next(
    box: Box, lease: timedelta
) -> None:
    await box.fill(1)
    await box.change(
        state=State.LEASED,
        owner="gone",
        attempt=1,
        lease_until=datetime.now(UTC) + lease,
    )

    await box.relay.step()

    assert await box.states() == [State.PUBLISHED]


async def test_a_relay_whose_lease_expired_marks_nothing(box: Box) -> None:
    await box.fill(1)
    late = await box.lease(box.relay.owner)
    await box.change(lease_until=datetime.now(UTC) - timedelta(seconds=1))
    (taken,) = await box.lease("another")

    await mark(box, late)

    (row,) = await box.rows()
    found = (row.state, row.owner, row.attempt)
    assert found == (State.LEASED, "another", taken.attempt)


async def test_a_relay_whose_lease_expired_marks_nothing_though_it_holds_it_again(
    box: Box,
) -> None:
    await box.fill(1)
    late = await box.lease(box.relay.owner)
    await box.change(lease_until=datetime.now(UTC) - timedelta(seconds=1))
    (again,) = await box.lease(box.relay.owner)

    await mark(box, late)

    (row,) = await box.rows()
    assert (row.state, row.attempt) == (State.LEASED, again.attempt)


async def test_a_relay_marks_nothing_that_another_holds_at_the_same_attempt(
    box: Box,
) -> None:
    await box.fill(1)
    mine = await box.lease(box.relay.owner)
    await box.change(owner="another")

    await mark(box, mine)

    (row,) = await box.rows()
    assert (row.state, row.owner) == (State.LEASED, "another")


async def test_an_event_that_was_refused_waits_and_the_others_do_not(
    box: Box, dapr: SimulatedDapr
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


@pytest.mark.usefixtures("always_looking")
async def test_each_refusal_of_an_event_doubles_its_wait(
    box: Box, dapr: SimulatedDapr
) -> None:
    dapr.refused = {*await box.fill(1)}
    waits = []
    for _ in range(MAX_REFUSALS - 1):
        await box.change(due_at=None)
        await box.fill(1)
        before = datetime.now(UTC)
        await box.relay.step()
        waits.append((await box.rows())[0].due_at - before)

    for refusals, wait in enumerate(waits, 1):
        assert 2**refusals <= wait.total_seconds() < 2 ** (refusals + 1)


async def test_an_event_whose_wait_is_over_is_published(box: Box) -> None:
    await box.fill(1)
    await box.change(due_at=datetime.now(UTC) - timedelta(seconds=1))

    await box.relay.step()

    assert await box.states() == [State.PUBLISHED]


async def test_what_was_due_when_the_clock_was_ahead_is_due_now(box: Box) -> None:
    await box.fill(1)
    await box.change(due_at=datetime.now(UTC) + timedelta(days=365))

    await box.relay.step()

    assert await box.states() == [State.PUBLISHED]


async def test_a_relay_that_starts_releases_what_its_predecessor_had_leased(
    box: Box,
) -> None:
    await box.fill(1)
    await box.lease(box.relay.owner)

    await box.relay.release_own()

    (row,) = await box.rows()
    assert (row.state, row.owner, row.lease_until) == (State.PENDING, None, None)
