"""A few hostile events and requests; `python -m verification.fuzz 100000` sends many."""

import json
from pathlib import Path
from random import Random
from urllib.request import urlopen

import pytest

from tests.support.delivering import order_created
from verification.fuzz import events, growth
from verification.fuzz.api import served
from verification.fuzz.run import Result, _compare, run


async def test_hostile_events_and_requests_break_lose_and_forge_nothing(
    tmp_path: Path,
) -> None:
    result = await run(1_200, 7, tmp_path)

    assert result.findings == []
    assert len(result.must) > 50
    assert len(result.must_not) > 100
    assert result.counted["2xx"] > 10
    assert result.counted["4xx"] > 50


async def test_an_event_that_is_handled_without_being_authentic_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def taken(_: Random) -> events.Hostile:
        event = order_created()
        return events.Hostile(events._json(event), must_not=event["data"]["orderId"])

    monkeypatch.setattr(events, "KINDS", (taken,))

    result = await run(80, 1, tmp_path)

    assert [each.partition(":")[0] for each in result.findings] == ["forged"]


class Kept:
    """An object as one of a service's, that keeps something."""

    __module__ = "services.kept"

    def __init__(self) -> None:
        self.by_name: dict[int, str] = {}


def test_what_a_service_keeps_for_each_request_is_found() -> None:
    kept, result = Kept(), Result()
    before = growth.sizes()
    kept.by_name |= dict.fromkeys(range(300), "")

    _compare(before, growth.sizes(), result)

    assert result.findings == ["Kept.by_name grew from 0 to 300"]


def test_a_service_is_served_with_its_description_for_schemathesis(
    tmp_path: Path,
) -> None:
    with (
        served("order", tmp_path) as address,
        urlopen(f"{address}/openapi.json", timeout=60) as answer,
    ):
        assert "/api/order" in json.load(answer)["paths"]
