"""The relay with several components of one broker: they publish shares of a batch at the same time."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import pytest
from sqlalchemy.orm import Session

from chassis.dapr import Entry, SidecarUnavailable
from chassis.database.transient import CommitFailed
from chassis.outbox.outbox import State
from tests.chassis.outbox.outboxes import Box

COMPONENTS = ["pubsub", "pubsub-2", "pubsub-3"]
OTHERS = ["pubsubs", "email", "pubsub-x", "my-pubsub-4"]


@dataclass
class Broker:
    """Takes what is published, and notes through which component; it can be told what to refuse."""

    down: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    together: int = 1
    """So many calls must be there before any is answered."""
    components: list[str] = field(default_factory=lambda: [*OTHERS, *COMPONENTS])
    asked: int = 0
    taken: dict[str, list[str]] = field(default_factory=dict)
    _calls: int = 0
    _are_there: asyncio.Event = field(default_factory=asyncio.Event)

    async def metadata(self) -> dict[str, Any]:
        """Return what the sidecar has, as Sidecar.metadata does."""
        self.asked += 1
        return {"components": [{"name": each} for each in self.components]}

    async def publish(
        self, pubsub: str, _topic: str, entries: Sequence[Entry]
    ) -> dict[str, str]:
        """Publish, as Sidecar.publish does."""
        self._calls += 1
        if self._calls >= self.together:
            self._are_there.set()
        await asyncio.wait_for(self._are_there.wait(), 10)
        if pubsub in self.down:
            raise SidecarUnavailable("it lost its connection")
        ids = [each.id for each in entries]
        self.taken.setdefault(pubsub, []).extend(set(ids) - self.refused)
        return dict.fromkeys(self.refused & set(ids), "the broker refused it")


@pytest.fixture
def broker(box: Box, monkeypatch: pytest.MonkeyPatch) -> Broker:
    """Make the relay publish through three components of a broker."""
    made = Broker()
    monkeypatch.setattr(box.relay.sidecar, "metadata", made.metadata)
    monkeypatch.setattr(box.relay.sidecar, "publish", made.publish)
    return made


async def test_a_batch_is_divided_among_the_components_and_published_at_once(
    box: Box, broker: Broker
) -> None:
    ids = await box.fill(100)
    broker.together = len(COMPONENTS)

    await box.relay.step()

    assert {name: len(taken) for name, taken in broker.taken.items()} == {
        "pubsub": 34,
        "pubsub-2": 34,
        "pubsub-3": 32,
    }
    assert sorted(chain.from_iterable(broker.taken.values())) == sorted(ids)
    assert set(await box.states()) == {State.PUBLISHED}


async def test_a_small_batch_costs_one_call(box: Box, broker: Broker) -> None:
    await box.fill(10)

    await box.relay.step()

    assert broker.asked == 0

    assert {name: len(taken) for name, taken in broker.taken.items()} == {"pubsub": 10}


async def test_what_one_component_did_not_take_is_free_and_the_rest_is_published(
    box: Box, broker: Broker
) -> None:
    await box.fill(100)
    broker.down = {"pubsub-2"}

    with pytest.raises(SidecarUnavailable, match="it lost its connection"):
        await box.relay.step()

    states = await box.states()
    assert states == [
        *[State.PUBLISHED] * 34,
        *[State.PENDING] * 34,
        *[State.PUBLISHED] * 32,
    ]
    assert {row.refusals for row in await box.rows()} == {0}
    broker.down = set()
    await box.publish_all()
    assert set(await box.states()) == {State.PUBLISHED}
    assert sum(map(len, broker.taken.values())) == 100


async def test_a_component_that_refuses_its_whole_share_is_in_trouble_and_blames_no_event(
    box: Box, broker: Broker
) -> None:
    """As daprd answers for a component that has lost its broker."""
    ids = await box.fill(30)
    broker.refused = {*ids[10:20]}

    with pytest.raises(SidecarUnavailable, match="pubsub-2 rejected every event"):
        await box.relay.step()

    assert {row.refusals for row in await box.rows()} == {0}
    assert (await box.states())[10:20] == [State.PENDING] * 10


async def test_a_component_in_trouble_is_left_out_whichever_it_is(
    box: Box, broker: Broker
) -> None:
    broker.down = {"pubsub"}
    await box.fill(30)
    with pytest.raises(SidecarUnavailable):
        await box.relay.step()

    await box.publish_all()
    await box.fill(1)
    await box.publish_all()

    assert set(await box.states()) == {State.PUBLISHED}
    assert broker.asked == 1
    assert "pubsub" not in broker.taken


async def test_where_all_were_in_trouble_those_not_tried_since_are_tried_again(
    box: Box, broker: Broker
) -> None:
    await box.fill(30)
    broker.down = {*COMPONENTS}
    for _ in range(2):
        with pytest.raises(SidecarUnavailable):
            await box.relay.step()

    broker.down = set()
    await box.publish_all()

    assert {*broker.taken} == {"pubsub-2", "pubsub-3"}
    assert set(await box.states()) == {State.PUBLISHED}


async def test_what_a_step_has_leased_that_ended_in_an_error_is_published_by_the_next(
    box: Box, broker: Broker, monkeypatch: pytest.MonkeyPatch
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
    assert broker.asked == 0
