"""The simulated sidecar's deliveries: what daprd makes of a message, and of an app's answer to it."""

import base64
import json
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx

CLOUD_EVENT = "application/cloudevents+json"
KNOWN = {"pubsubname", "topic", "route", "metadata", "deadLetterTopic"}
RAW = {"rawPayload": "true"}


@dataclass(frozen=True)
class Message:
    """What a broker holds: bytes, whatever they are, and the id that daprd adds to those that have none."""

    topic: str
    body: bytes
    id: str = field(default_factory=lambda: str(uuid4()))


async def deliver(
    client: httpx.AsyncClient, subscription: dict[str, Any], message: Message
) -> str:
    """Deliver a message to the app that subscribed; return the verdict: SUCCESS, RETRY or DROP."""
    if beyond := subscription.keys() - KNOWN:
        raise NotImplementedError(f"subscriptions with {beyond}")
    raw = subscription["metadata"].get("rawPayload")
    if raw not in {None, RAW["rawPayload"]}:
        raise NotImplementedError(f"a rawPayload of {raw!r}")
    if not raw and not _is_readable(message.body):
        if not subscription.get("deadLetterTopic"):
            raise NotImplementedError("daprd would read it again without end")
        return "DROP"
    answer = await client.post(
        subscription["route"],
        content=_wrapped(message) if raw else message.body,
        headers={"content-type": CLOUD_EVENT},
    )
    return _verdict(answer)


def must_be_deliverable(event: dict[str, Any]) -> None:
    """Refuse what makes daprd 1.18.2 die when it delivers it."""
    if not isinstance(event.get("traceparent") or event.get("traceid") or "", str):
        raise NotImplementedError("daprd 1.18.2 dies when it delivers such a trace id")


def _is_readable(body: bytes) -> bool:
    # Go puts a sign in the place of bytes that are no UTF-8, takes null for an object, and knows no NaN.
    try:
        read = json.loads(body.decode(errors="replace"), parse_constant=int)
    except ValueError:
        return False
    if isinstance(read, dict):
        must_be_deliverable(read)
    return read is None or isinstance(read, dict)


def _wrapped(message: Message) -> bytes:
    envelope = {
        "data_base64": base64.b64encode(message.body).decode(),
        "datacontenttype": "application/octet-stream",
        "id": message.id,
        "pubsubname": "pubsub",
        "source": "Dapr",
        "specversion": "1.0",
        "topic": message.topic,
        "type": "com.dapr.event.sent",
    }
    return json.dumps(envelope, separators=(",", ":")).encode()


def _verdict(answer: httpx.Response) -> str:
    if answer.status_code == 404:
        return "DROP"
    if not answer.is_success:
        return "RETRY"
    try:
        answered, _ = json.JSONDecoder().raw_decode(answer.text.lstrip())
        status = {key.lower(): value for key, value in answered.items()}.get("status")
    except (ValueError, AttributeError):
        return "SUCCESS"
    if not status or not isinstance(status, str):
        return "SUCCESS"
    return status if status in {"SUCCESS", "DROP"} else "RETRY"
