"""Events that are only pulled: nothing is waited for, and nothing was missed."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from chassis.event import Delivery
from contracts.order_created import OrderCreated
from services.notification.reactions.notify_customer_on_order_created import reaction
from tests.support.pulls import Pull, pulling
from tests.support.simulated_dapr import SimulatedDapr


class OnlyPulled(OrderCreated):
    """An OrderCreated that is not pushed."""

    delivery: ClassVar[Delivery] = Delivery.PULL

    @classmethod
    def topic(cls) -> str:
        """Return the topic of the contract."""
        return OrderCreated.topic()

    @classmethod
    def contract(cls) -> str:
        """Return the contract."""
        return OrderCreated.contract()


@pytest.fixture
async def pull(
    each_database: None, tmp_path: Path, dapr: SimulatedDapr
) -> AsyncIterator[Pull]:
    """Return a feed and its consumer."""
    async with pulling(tmp_path, dapr) as made:
        made.reaction = replace(reaction, event=OnlyPulled)
        made.reconciler = made.another()
        yield made


async def test_it_is_handled_with_the_first_page_and_nothing_is_logged(
    pull: Pull, caplog: pytest.LogCaptureFixture
) -> None:
    said = await pull.feed.says_orders(3)

    assert await pull.step() is False

    assert await pull.taken() == said
    assert caplog.records == []
    assert {"form", "until"}.isdisjoint(pull.asked[0])


async def test_full_pages_follow_each_other_without_a_pause(pull: Pull) -> None:
    said = await pull.feed.says_orders(600)

    assert [await pull.step() for _ in range(3)] == [True, True, False]

    assert await pull.taken() == said
    assert await pull.cursor() == (await pull.feed.page(limit=0))["highWaterMark"]


async def test_an_idle_second_costs_one_call_and_writes_nothing(pull: Pull) -> None:
    await pull.feed.says_orders(1)
    for _ in range(2):
        await pull.step()

    with pull.counting() as statements:
        assert await pull.step() is False

    begin = [] if pull.database.is_shared else ["BEGIN"]
    assert statements == {
        "notification": [*begin, *["SELECT"] * 2],
        "order": [*begin, "SELECT"],
    }
