"""What arrives, parsed into the event that a reaction expects, once its signature is verified."""

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self, TypeVar

from pydantic import ValidationError

from chassis.cloud_event import CloudEvent, Keys
from chassis.event import Event
from chassis.inbox.dead_letter import MAX_BODY
from chassis.runtime import clock

E = TypeVar("E", bound=Event)

REMEMBERED = timedelta(days=30)
"""How long the inbox remembers an event: longer than any broker keeps one to deliver it again."""


class NotAuthentic(Exception):
    """This is no event of this system: malformed, altered, too large, or too old; or not signed by whose it is."""


class Unprocessable(Exception):
    """This event is authentic, and never acceptable to this reaction, however often it is tried."""


@dataclass(frozen=True)
class Received:
    """What arrived in the place of an event: JSON, or why it is none; pushed, with its bytes as they were."""

    json: Any = None
    raw: bytes | None = None
    fault: str = ""

    @classmethod
    def of_bytes(cls, body: bytes) -> Self:
        """Parse what was pushed."""
        try:
            # Decoded here: json.loads itself would take bytes in UTF-16 or UTF-32.
            return cls(json.loads(body.decode()), body)
        except (ValueError, RecursionError) as error:
            return cls(raw=body, fault=str(error))

    @property
    def type(self) -> str:
        """The type that it claims to have; empty where it claims none."""
        return str(self.json.get("type")) if isinstance(self.json, dict) else ""

    @property
    def body(self) -> bytes:
        """The bytes that a dead letter keeps."""
        if self.raw is not None:
            return self.raw
        text = json.dumps(self.json, ensure_ascii=False, separators=(",", ":"))
        return text.encode(errors="surrogatepass")


def parse(expected: type[E], received: Received, keys: Keys) -> tuple[CloudEvent, E]:
    """Return the envelope and the event in it; raises NotAuthentic, Unprocessable."""
    envelope = authenticate(received, keys)
    check_kind(expected, envelope)
    try:
        return envelope, event_of(expected, envelope.data)
    except ValidationError as error:
        raise Unprocessable(_in_words(error)) from error


def event_of(expected: type[E], data: object) -> E:
    """Return the event that a CloudEvent's data is; raises ValidationError."""
    return expected.model_validate(data, by_alias=True, by_name=False)


def authenticate(received: Received, keys: Keys) -> CloudEvent:
    """Return the envelope of a signed event; raises NotAuthentic."""
    if received.raw and len(received.raw) > MAX_BODY:
        raise NotAuthentic(too_large(len(received.raw)))
    if fault := received.fault:
        raise NotAuthentic(f"it is no valid CloudEvent (Invalid JSON: {fault})")
    if not isinstance(received.json, dict):
        raise NotAuthentic("it is no valid CloudEvent (it is not an object)")
    try:
        envelope = CloudEvent.model_validate(received.json)
    except ValidationError as error:
        raise NotAuthentic(_in_words(error)) from error
    if not keys.verify(received.json):
        which = "altered, or signed with an unknown key"
        raise NotAuthentic(f"it is {which if envelope.signature else 'not signed'}")
    return envelope


def check_age(envelope: CloudEvent) -> None:
    """Refuse a push that is older than the inbox remembers: it may be a replay; raises NotAuthentic."""
    if envelope.time < clock.now() - REMEMBERED:
        raise NotAuthentic("it is older than the inbox remembers; the pull brings it")


def too_large(size: int) -> str:
    """Return the reason of what has so many bytes."""
    return f"it has {size} bytes; {MAX_BODY} are the most"


def check_kind(expected: type[Event], envelope: CloudEvent) -> None:
    """Check that this is the event that is expected; raises NotAuthentic, Unprocessable.

    What another producer signed may have any id: it must not take the place of the event that has it.
    """
    schema, source = expected.dataschema(), f"/{expected.source}"
    if envelope.source != source:
        raise NotAuthentic(f"its source is {envelope.source!r}, not {source!r}")
    if (envelope.type, envelope.dataschema) != (expected.topic(), schema):
        found = f"{envelope.type!r} ({envelope.dataschema!r})"
        raise Unprocessable(f"it is {found}, and {schema} is expected")


def _in_words(error: ValidationError) -> str:
    # Without the values: a log is no place for customers' data.
    faults = []
    for fault in error.errors():
        where = ".".join(map(str, fault["loc"]))
        what = fault["msg"].removeprefix("Value error, ")
        faults.append(f"{where}: {what}" if where else what)
    return f"it is no valid {error.title} ({'; '.join(faults)})"
