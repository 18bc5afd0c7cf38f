"""The relay with several components of one broker: they publish shares of a batch at the same time."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import pytest

from chassis.dapr import Entry, SidecarUnavailable
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


async def test_a_share_that_is_refused_whole_counts_against_its_own_events(
    box: Box, broker: Broker
) -> None:
    ids = await box.fill(30)
    broker.refused = {*ids[10:20]}

    await box.relay.step()

    refusals = [row.refusals for row in await box.rows()]
    assert refusals == [*[0] * 10, *[1] * 10, *[0] * 10]
    assert (await box.states())[10:20] == [State.PENDING] * 10


async def test_the_sidecar_is_asked_for_components_once_a_minute_and_after_trouble(
    box: Box, broker: Broker
) -> None:
    for _ in range(2):
        await box.fill(20)
        await box.relay.step()
    assert broker.asked == 1
    broker.down, broker.components = {"pubsub-2"}, ["pubsub"]
    await box.fill(20)

    with pytest.raises(SidecarUnavailable):
        await box.relay.step()
    await box.fill(20)
    await box.publish_all()

    assert broker.asked == 2
    assert set(await box.states()) == {State.PUBLISHED}
