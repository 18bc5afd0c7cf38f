"""Metadata: what a sidecar lists as loaded."""

from tests.conformance.probe import BULK, DEAD, PUBSUB, TOPIC, TUNING, WATCHED
from tests.conformance.stage import EMAIL, Stage


async def test_the_broker_is_listed_under_its_name(dapr: Stage) -> None:
    loaded = await dapr.sidecar.metadata()

    (kind,) = [each["type"] for each in loaded["components"] if each["name"] == PUBSUB]
    assert kind.startswith("pubsub.")


async def test_a_binding_is_listed_with_its_kind(dapr: Stage) -> None:
    loaded = await dapr.other.metadata()

    kinds = {each["name"]: each["type"] for each in loaded["components"]}
    assert kinds[EMAIL] == "bindings.smtp"


async def test_each_subscription_is_listed_as_the_app_declared_it(
    dapr: Stage,
) -> None:
    loaded = await dapr.sidecar.metadata()

    raw = {**TUNING, "rawPayload": "true"}
    declared = [
        (TOPIC, TUNING, ""),
        (WATCHED, TUNING, DEAD),
        (BULK, TUNING, DEAD),
        (DEAD, raw, ""),
    ]
    assert loaded["subscriptions"] == [
        {
            "pubsubname": PUBSUB,
            "topic": topic,
            "metadata": metadata,
            "rules": [{"path": f"/events/{topic}"}],
            "deadLetterTopic": dead,
            "type": "PROGRAMMATIC",
        }
        for topic, metadata, dead in declared
    ]
