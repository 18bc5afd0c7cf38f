"""Honesty: what the simulated sidecar cannot do as daprd does, it refuses to do at all."""

import httpx
import pytest
from dapr.ext.fastapi import DaprApp
from fastapi import FastAPI

from tests.conformance.probe import PUBSUB, ROUTE, TOPIC, an_event
from tests.conformance.stage import simulated
from tests.support.simulated_dapr import SimulatedDapr, Wire


async def test_an_event_that_makes_daprd_die_is_not_taken() -> None:
    async with simulated() as dapr:
        with pytest.raises(NotImplementedError, match="dies"):
            await dapr.publish(an_event(traceparent=7))


async def test_an_event_that_a_broker_would_drop_is_not_passed_over() -> None:
    async with simulated() as dapr:
        await dapr.publish(an_event(), topic="Unheard")

        with pytest.raises(NotImplementedError, match="nobody hears"):
            await dapr.turn()


async def test_a_subscription_that_asks_for_more_is_not_served_like_any_other() -> None:
    dapr, app = SimulatedDapr(), FastAPI()
    subscribe = DaprApp(app).subscribe
    subscribe(PUBSUB, TOPIC, route=ROUTE, dead_letter_topic="Dead")(lambda: None)
    dapr.queue.append(an_event(topic=TOPIC))

    with pytest.raises(NotImplementedError, match="deadLetterTopic"):
        await dapr.deliver_to(app)


@pytest.mark.parametrize(
    "more",
    [{"contentType": "application/json"}, {"metadata": {"ttlInSeconds": "1"}}],
    ids=["no CloudEvent", "metadata"],
)
async def test_an_entry_that_asks_for_more_is_not_taken_like_any_other(
    more: dict[str, object],
) -> None:
    entry = {"entryId": "1", "contentType": "application/cloudevents+json", "event": {}}
    url = f"http://sidecar/v1.0/publish/bulk/{PUBSUB}/{TOPIC}"

    async with httpx.AsyncClient(transport=Wire(SimulatedDapr())) as client:
        with pytest.raises(NotImplementedError, match="entries"):
            await client.post(url, json=[entry | more])
