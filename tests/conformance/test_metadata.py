"""Metadata: what a sidecar says that it has loaded."""

from tests.conformance.probe import PUBSUB, ROUTE, TOPIC, TUNING
from tests.conformance.stage import Stage


async def test_the_broker_is_listed_under_its_name(dapr: Stage) -> None:
    loaded = await dapr.sidecar.metadata()

    (component,) = loaded["components"]
    assert component["name"] == PUBSUB
    assert component["type"].startswith("pubsub.")


async def test_the_subscription_is_listed_with_what_the_app_said_of_it(
    dapr: Stage,
) -> None:
    loaded = await dapr.sidecar.metadata()

    assert loaded["subscriptions"] == [
        {
            "pubsubname": PUBSUB,
            "topic": TOPIC,
            "metadata": TUNING,
            "rules": [{"path": ROUTE}],
            "deadLetterTopic": "",
            "type": "PROGRAMMATIC",
        }
    ]
