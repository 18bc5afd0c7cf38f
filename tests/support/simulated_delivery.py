"""The simulated sidecar's deliveries: what daprd makes of a message, and of an app's answer to it."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import uuid4

import httpx

CLOUD_EVENT = "application/cloudevents+json"
KNOWN = {
    "pubsubname",
    "topic",
    "route",
    "metadata",
    "deadLetterTopic",
    "bulkSubscribe",
}
RAW = {"rawPayload": "true"}


@dataclass(frozen=True)
class Message:
    """What a broker holds: bytes, whatever they are, and the id that daprd adds to those that have none."""

    topic: str
    body: bytes
    id: str = field(default_factory=lambda: str(uuid4()))


async def deliver(
    client: httpx.AsyncClient, subscription: dict[str, Any], *messages: Message
) -> list[str]:
    """Deliver to the app that subscribed, in bulk if it asks for that; return the verdicts.

    A verdict is SUCCESS, RETRY or DROP.
    """
    if beyond := subscription.keys() - KNOWN:
        raise NotImplementedError(f"subscriptions with {beyond}")
    if subscription["metadata"].get("rawPayload") not in {None, RAW["rawPayload"]}:
        raise NotImplementedError(f"another rawPayload than {RAW}")
    if subscription.get("bulkSubscribe"):
        return await _deliver_bulk(client, subscription, messages)
    return [await _deliver(client, subscription, each) for each in messages]


def most(subscription: dict[str, Any]) -> int:
    """Return how many messages are delivered at once."""
    bulk: dict[str, int] = subscription.get("bulkSubscribe", {})
    return bulk.get("maxMessagesCount", 1)


async def _deliver_bulk(
    client: httpx.AsyncClient,
    subscription: dict[str, Any],
    messages: Sequence[Message],
) -> list[str]:
    entries = {str(n): each for n, each in enumerate(messages)}
    read = {entry: as_delivered(each.body) for entry, each in entries.items()}
    readable = {entry: event for entry, event in read.items() if event is not None}
    verdicts = dict.fromkeys(entries, "DROP")
    if readable:
        answer = await client.post(
            subscription["route"],
            content=bulk(readable),
            headers={"content-type": "application/json"},
        )
        verdicts |= _verdicts(answer, [*readable])
    return [*verdicts.values()]


def bulk(entries: dict[str, bytes]) -> bytes:
    """Return a bulk delivery of these events, by entry, as daprd writes it."""
    events = b",".join(
        b'{"entryId":"%s","event":%s,"metadata":null,"contentType":"%s"}'
        % (entry.encode(), event, CLOUD_EVENT.encode())
        for entry, event in entries.items()
    )
    more = (
        b'"id":"","metadata":{"pubsubName":"pubsub"},"pubsubname":"pubsub","topic":"x"'
    )
    kind = b'"type":"com.dapr.event.sent.bulk"'
    return b'{"entries":[%s],%s,%s}' % (events, more, kind)


def as_delivered(body: bytes) -> bytes | None:
    """Return an event as it is in a bulk delivery, by way of a map of Go's; None where that cannot be read."""
    if not _is_readable(body):
        return None
    read = json.loads(body.decode(errors="replace"), parse_int=_as_go_writes)
    text = json.dumps(read, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    for each in "<>&\u2028\u2029":
        text = text.replace(each, f"\\u{ord(each):04x}")
    return text.encode(errors="replace")


def _as_go_writes(digits: str) -> int:
    if len(digits) > 21 or digits == "-0":
        raise NotImplementedError("Go writes such a number in another way")
    return as_go_reads(digits)


def as_go_reads(digits: str) -> int:
    """Return an integer as a float of 64 bits, written again with as few digits as tell it from its neighbours."""
    return int(Decimal(repr(float(digits))))


def _verdicts(answer: httpx.Response, entries: Sequence[str]) -> dict[str, str]:
    if answer.status_code == 404:
        raise NotImplementedError("daprd loses what is answered so")
    try:
        statuses = answer.json()["statuses"] if answer.is_success else []
        given = {each["entryId"]: each["status"] for each in statuses}
    except (ValueError, KeyError, TypeError):
        given = {}
    if "DROP" in given.values():
        raise NotImplementedError("daprd drops another entry than that, or dies")
    return {
        each: "SUCCESS" if given.get(each) == "SUCCESS" else "RETRY" for each in entries
    }


async def _deliver(
    client: httpx.AsyncClient, subscription: dict[str, Any], message: Message
) -> str:
    raw = subscription["metadata"].get("rawPayload")
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
