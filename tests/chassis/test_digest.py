"""The digest of an event: the same however it travelled, and another where it says something else."""

import json
from typing import Any

import pytest

from chassis.cloud_event import CloudEvent, digest_of
from tests.support.feeds import order_created


def after(changes: dict[str, Any], envelope: CloudEvent) -> bytes:
    """Give the digest of this event as it arrives: keys sorted, as Go does it, and changed."""
    travelled = json.dumps(
        {**envelope.model_dump(mode="json"), **changes}, sort_keys=True
    )
    return digest_of(CloudEvent.model_validate_json(travelled))


@pytest.mark.parametrize(
    "changes",
    [{}, {"traceid": "00-1", "traceparent": "00-1"}, {"pubsubname": "pubsub"}],
)
def test_what_travelled_has_the_same_digest(changes: dict[str, Any]) -> None:
    _, envelope = order_created("Zoë \U0001f389")

    assert after(changes, envelope) == digest_of(envelope)


@pytest.mark.parametrize(
    "changes", [{"id": "x"}, {"subject": "x"}, {"aggregateversion": 2}, {"data": {}}]
)
def test_what_says_something_else_has_another(changes: dict[str, Any]) -> None:
    _, envelope = order_created()

    assert after(changes, envelope) != digest_of(envelope)
