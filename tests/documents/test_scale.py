"""The tables of docs/scale.md are those that the stored figures make."""

import pytest

from verification.benchmark import scale
from verification.benchmark.scale import FULL, LONE, Need


def test_the_page_has_the_tables_that_the_figures_make() -> None:
    page = scale.PAGE.read_text()
    assert page == scale.written(page), "type: python -m verification.benchmark.scale"


def test_a_table_that_was_edited_by_hand_is_found() -> None:
    page = scale.PAGE.read_text()
    rate = "1,000 orders/s"
    assert scale.written(page.replace(rate, "a thousand", 1)) == page


@pytest.mark.parametrize("load", [LONE, FULL])
def test_every_part_of_an_order_has_a_measured_cost(load: str) -> None:
    cost = scale.costs()[load]
    assert all(cost.cpu[part] > 0 for part in scale.PARTS)
    assert cost.other["WAL bytes"] > 0
    assert cost.for_good > 0
    assert cost.of_events > cost.for_good


def test_twice_the_orders_need_twice_the_processors_and_never_fewer_than_two() -> None:
    cost = scale.costs()[FULL]
    once, twice = Need(50_000, cost), Need(100_000, cost)
    assert twice.busy("broker") == pytest.approx(2 * once.busy("broker"))
    assert twice.replicas("order app") > once.replicas("order app")
    assert Need(1, cost).replicas("order app") == scale.AT_LEAST
