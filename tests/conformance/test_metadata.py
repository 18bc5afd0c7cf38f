"""Metadata: what a sidecar says that it has loaded."""

from tests.conformance.probe import DEAD, PUBSUB, TOPIC, TUNING, WATCHED
from tests.conformance.stage import Stage


async def test_the_broker_is_listed_under_its_name(dapr: Stage) -> None:
    loaded = await dapr.sidecar.metadata()

    (component,) = loaded["components"]
    assert component["name"] == PUBSUB
    assert component["type"].startswith("pubsub.")


async def test_each_subscription_is_listed_with_what_the_app_said_of_it(
    dapr: Stage,
) -> None:
    loaded = await dapr.sidecar.metadata()

    raw = {**TUNING, "rawPayload": "true"}
    said = [(TOPIC, TUNING, ""), (WATCHED, TUNING, DEAD), (DEAD, raw, "")]
    assert loaded["subscriptions"] == [
        {
            "pubsubname": PUBSUB,
            "topic": topic,
            "metadata": metadata,
            "rules": [{"path": f"/events/{topic}"}],
            "deadLetterTopic": dead,
            "type": "PROGRAMMATIC",
        }
        for topic, metadata, dead in said
    ]
