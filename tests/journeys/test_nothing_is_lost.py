"""What the broker loses, the pull brings: every order that was accepted is notified, once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.losses import (
    LATE,
    RUNNING,
    are_all_notified,
    lines,
    open_shop,
    the_consumer_comes_late,
)
from tests.support.shop import Customer, Shop
from tests.support.system import RealSystem, build
from tests.support.variants import ONE

pytestmark = pytest.mark.system


@pytest.fixture
def without_the_pull(tmp_path: Path) -> Iterator[RealSystem]:
    """Make a system whose services cannot read each other's feeds."""
    made = build(tmp_path, pulls=False)
    yield made
    made.stop()


@pytest.mark.parametrize("case", LATE)
async def test_what_is_ordered_before_the_rest_is_there_is_notified(
    new: RealSystem, case: str
) -> None:
    async with open_shop(new) as shop:
        orders = await LATE[case](new, shop)

        await are_all_notified(shop, orders)


@ONE
@pytest.mark.parametrize("case", RUNNING)
async def test_what_is_lost_on_the_way_is_notified(
    system: RealSystem, shop: Shop, case: str
) -> None:
    orders = await RUNNING[case](system, shop)

    await are_all_notified(shop, orders)


async def test_without_the_pull_a_consumer_that_comes_late_gets_nothing(
    without_the_pull: RealSystem,
) -> None:
    """Of what was ordered before; so the tests above can fail."""
    async with open_shop(without_the_pull) as shop:
        orders = await the_consumer_comes_late(without_the_pull, shop)
        await without_the_pull.is_ready()

        later = await shop.orders("Just in Time")
        await Customer(shop).is_notified(later)

        assert set(lines(shop, orders).values()) == {0}
