"""The relay with several components of one broker: they publish shares of a batch at the same time."""

from asyncio import create_task
from collections.abc import Callable
from itertools import chain

import pytest
from sqlalchemy.orm import Session

from chassis.dapr import SidecarUnavailable
from chassis.database.transient import CommitFailed
from chassis.outbox.outbox import State
from tests.chassis.outbox.outboxes import Box
from tests.support.eventually import eventually
from tests.support.simulated_dapr import SimulatedDapr

COMPONENTS = ["pubsub", "pubsub-2", "pubsub-3"]
OTHERS = ["pubsubs", "pubsub-x", "my-pubsub-4"]


@pytest.fixture(autouse=True)
def _components(dapr: SimulatedDapr) -> None:
    dapr.pubsubs = [*OTHERS, *COMPONENTS]


def shares(dapr: SimulatedDapr) -> dict[str, int]:
    """Return how many events each component has published."""
    return {name: len(taken) for name, taken in dapr.taken.items() if taken}


def looks(dapr: SimulatedDapr) -> int:
    """Return how often the sidecar was asked for its components."""
    return dapr.asked.count("/v1.0/metadata")


async def test_a_batch_is_divided_among_the_components(
    box: Box, dapr: SimulatedDapr
) -> None:
    ids = await box.fill(100)

    await box.relay.step()

    assert shares(dapr) == {"pubsub": 34, "pubsub-2": 34, "pubsub-3": 32}
    assert sorted(chain.from_iterable(dapr.taken.values())) == sorted(ids)
    assert set(await box.states()) == {State.PUBLISHED}


async def test_the_components_publish_at_the_same_time(
    box: Box, dapr: SimulatedDapr
) -> None:
    await box.fill(30)
    await box.publish_all()
    await box.fill(30)
    dapr.asked.clear()
    dapr.answering.clear()

    step = create_task(box.relay.step())

    async def all_are_asked() -> bool:
        return len(dapr.asked) == len(COMPONENTS)

    await eventually(all_are_asked, "every component is asked before one has answered")
    dapr.answering.set()
    await step
    assert set(await box.states()) == {State.PUBLISHED}


async def test_a_small_batch_costs_one_call(box: Box, dapr: SimulatedDapr) -> None:
    await box.fill(10)

    await box.relay.step()

    assert len(dapr.asked) == 1
    assert shares(dapr) == {"pubsub": 10}


async def test_what_a_component_in_trouble_did_not_take_is_free_and_no_event_is_blamed(
    box: Box, dapr: SimulatedDapr
) -> None:
    """It has lost its broker: daprd answers with a reason for every event."""
    await box.fill(100)
    dapr.down = {"pubsub-2"}

    with pytest.raises(SidecarUnavailable, match="pubsub-2 rejected every event"):
        await box.relay.step()

    assert await box.states() == [
        *[State.PUBLISHED] * 34,
        *[State.PENDING] * 34,
        *[State.PUBLISHED] * 32,
    ]
    assert {row.refusals for row in await box.rows()} == {0}
    await box.publish_all()
    assert set(await box.states()) == {State.PUBLISHED}
    assert sum(shares(dapr).values()) == 100


async def test_an_event_that_is_refused_in_its_share_is_blamed_alone(
    box: Box, dapr: SimulatedDapr
) -> None:
    ids = await box.fill(30)
    dapr.refused = {ids[15]}

    await box.relay.step()

    assert [row.refusals for row in await box.rows()] == [*[0] * 15, 1, *[0] * 14]


async def test_a_component_in_trouble_is_left_out_whichever_it_is(
    box: Box, dapr: SimulatedDapr
) -> None:
    dapr.down = {"pubsub"}
    await box.fill(30)
    with pytest.raises(SidecarUnavailable):
        await box.relay.step()

    await box.publish_all()
    await box.fill(1)
    await box.publish_all()

    assert set(await box.states()) == {State.PUBLISHED}
    assert looks(dapr) == 1
    assert "pubsub" not in shares(dapr)


async def test_a_lone_event_leaves_by_another_component_where_the_first_is_in_trouble(
    box: Box, dapr: SimulatedDapr
) -> None:
    dapr.down = {"pubsub"}
    await box.fill(1)
    for _ in range(2):
        with pytest.raises(SidecarUnavailable):
            await box.relay.step()

    await box.publish_all()

    assert shares(dapr) == {"pubsub-2": 1}


async def test_where_all_were_in_trouble_those_not_tried_since_are_tried_again(
    box: Box, dapr: SimulatedDapr
) -> None:
    await box.fill(30)
    dapr.available = False
    for _ in range(2):
        with pytest.raises(SidecarUnavailable):
            await box.relay.step()

    dapr.available = True
    await box.publish_all()

    assert {*shares(dapr)} == {"pubsub-2", "pubsub-3"}
    assert set(await box.states()) == {State.PUBLISHED}


async def test_the_sidecar_is_not_asked_for_its_components_with_every_batch(
    box: Box, dapr: SimulatedDapr
) -> None:
    for _ in range(3):
        await box.fill(20)
        await box.publish_all()

    assert looks(dapr) == 1


async def test_a_component_that_is_loaded_later_is_found_by_the_next_look(
    box: Box, dapr: SimulatedDapr
) -> None:
    dapr.pubsubs = ["pubsub"]
    await box.fill(20)
    await box.publish_all()

    dapr.pubsubs = COMPONENTS
    box.relay.asks_every = 0.0
    await box.fill(20)
    await box.publish_all()

    assert shares(dapr) == {"pubsub": 30, "pubsub-2": 10}


async def test_what_a_step_has_leased_that_ended_in_an_error_is_published_by_the_next(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A COMMIT may be done and reported as failed: the lease is there, and nobody knows of it."""
    await box.fill(2)
    write = box.database.write

    async def and_fail(work: Callable[[Session], object]) -> None:
        await write(work)
        raise CommitFailed("its outcome is unknown")

    with monkeypatch.context() as patched:
        patched.setattr(box.database, "write", and_fail)
        with pytest.raises(CommitFailed):
            await box.relay.step()
    assert await box.states() == [State.LEASED] * 2

    await box.publish_all()

    assert await box.states() == [State.PUBLISHED] * 2
