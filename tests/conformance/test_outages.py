"""Outages: what a service is answered while broker or sidecar is down, and that all is well afterwards."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from chassis.dapr.sidecar import SidecarUnavailable
from tests.conformance.probe import PUBSUB, an_event
from tests.conformance.stage import DEADLINE, Stage
from tests.support.eventually import eventually


async def test_without_its_broker_a_sidecar_refuses_every_entry_and_stays_as_it_is(
    dapr: Stage,
) -> None:
    events = [an_event() for _ in range(100)]

    async with dapr.broker_killed():
        async with asyncio.timeout(DEADLINE):
            failed = await dapr.publish(*events)
        loaded = await dapr.sidecar.metadata()

    assert failed.keys() == {event["id"] for event in events}
    assert all(failed.values())
    assert PUBSUB in [component["name"] for component in loaded["components"]]
    assert len(loaded["subscriptions"]) == 4
    await _works(dapr)
    assert [dapr.count(event) for event in events] == [0] * 100


async def test_a_sidecar_that_is_stopped_is_unavailable(dapr: Stage) -> None:
    async with dapr.sidecar_stopped():
        with pytest.raises(SidecarUnavailable, match="no connection"):
            await dapr.publish(an_event())
        with pytest.raises(SidecarUnavailable, match="no connection"):
            await dapr.sidecar.metadata()

    await _works(dapr)


async def test_a_sidecar_that_does_not_answer_is_unavailable_after_the_deadline(
    dapr: Stage,
) -> None:
    async with dapr.sidecar_stalled(), asyncio.timeout(DEADLINE + 20):
        with pytest.raises(SidecarUnavailable, match="TimeoutError"):
            await dapr.publish(an_event())

    await _works(dapr)


async def _works(dapr: Stage) -> None:
    # A real broker may lose what is published just after it came back: then others are tried. Some at once:
    # daprd may have left consumers behind that nobody reads, each of which is given its share of them.
    async def one_arrives() -> bool:
        events = [an_event() for _ in range(20)]
        with suppress(SidecarUnavailable, AssertionError):
            if await dapr.publish(*events) == {}:
                await eventually(lambda: _arrived(dapr, events), "one arrives", 8)
                return True
        return False

    await eventually(one_arrives, "events are published, and one arrives", 60)


async def _arrived(dapr: Stage, events: list[dict[str, Any]]) -> bool:
    await dapr.turn()
    return any(dapr.count(event) for event in events)
