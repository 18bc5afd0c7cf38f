"""Large events at the pull: both doors measure the same bytes, and an answer holds only so many."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from chassis.cloud_event import Cause, create_cloud_event
from contracts.order_created import OrderCreated
from tests.support.database import KEYS
from tests.support.feeds import TRACE, Letter, order_created
from tests.support.pulls import Pull, pulling
from tests.support.simulated_dapr import SimulatedDapr


@pytest.fixture
async def pull(
    each_database: None, tmp_path: Path, dapr: SimulatedDapr
) -> AsyncIterator[Pull]:
    """Return a feed and its consumer."""
    async with pulling(tmp_path, dapr) as made:
        yield made


async def test_both_doors_accept_an_event_of_many_wide_characters(pull: Pull) -> None:
    """Its size is that of its bytes in UTF-8, as it was stored, and not of what JSON may escape."""
    letters = [wide_order_created() for _ in range(2)]
    said = await pull.feed.says(*letters)
    await pull.is_pushed(letters[0])

    await pull.catches_up()

    assert sorted(await pull.taken()) == sorted(said)
    assert sorted(await pull.arrivals()) == ["PULLED", "PUSHED"]
    assert await pull.dead() == []


async def test_many_large_events_are_pulled_page_by_page(pull: Pull) -> None:
    """All at once they are more than daprd carries."""
    letters = [wide_order_created(6_000) for _ in range(250)]
    said = await pull.feed.says(*letters)

    await pull.catches_up()

    assert await pull.taken() == said
    assert len([asked for asked in pull.asked if asked.get("limit") == "250"]) > 2


async def test_large_events_that_are_asked_for_by_ids_are_asked_for_again(
    pull: Pull,
) -> None:
    letters = [wide_order_created() for _ in range(100)]
    said = await pull.feed.says(*letters)

    await pull.catches_up()

    assert await pull.taken() == said
    assert len([asked for asked in pull.asked if "id" in asked]) == 3


def wide_order_created(characters: int = 15_000) -> Letter:
    """Return an OrderCreated with a field that this version does not know, of three bytes a character."""
    event, _ = order_created()
    order_id = uuid4()
    wide = _Wide.model_validate(
        {**event.data(), "orderId": order_id, "gift": "山" * characters}
    )
    cause = Cause(TRACE)
    return wide, create_cloud_event(
        wide, service="order", subject=order_id, cause=cause, keys=KEYS
    )


class _Wide(OrderCreated):
    gift: str

    @classmethod
    def topic(cls) -> str:
        """Return the topic of the version that is known."""
        return OrderCreated.topic()

    @classmethod
    def contract(cls) -> str:
        """Return the contract of the version that is known."""
        return OrderCreated.contract()
