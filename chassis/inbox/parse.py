"""A delivery, parsed into the event that a reaction expects, once its signature is verified."""

from datetime import timedelta
from typing import TypeVar

from pydantic import ValidationError

from chassis.cloud_event import CloudEvent
from chassis.event import Event
from chassis.inbox.dead_letter import MAX_BODY
from chassis.runtime import clock
from chassis.signature import SigningKeys

E = TypeVar("E", bound=Event)

REMEMBERED = timedelta(days=30)
"""How long the inbox remembers an event: longer than any broker keeps one to deliver it again."""


class NotAuthentic(Exception):
    """This is no event of this system: malformed, unsigned, altered, too large, or too old to be known again."""


class Unprocessable(Exception):
    """This event is authentic, and never acceptable to this reaction, however often it is tried."""


def parse(expected: type[E], body: bytes, keys: SigningKeys) -> tuple[CloudEvent, E]:
    """Return the envelope and the event in it; raises NotAuthentic, Unprocessable."""
    envelope = authenticate(body, keys)
    _check_kind(expected, envelope)
    try:
        return envelope, expected.model_validate(
            envelope.data, by_alias=True, by_name=False
        )
    except ValidationError as error:
        raise Unprocessable(_in_words(error)) from error


def authenticate(body: bytes, keys: SigningKeys) -> CloudEvent:
    """Return the envelope of a signed event; raises NotAuthentic."""
    if len(body) > MAX_BODY:
        raise NotAuthentic(too_large(len(body)))
    try:
        envelope = CloudEvent.model_validate_json(body)
    except ValidationError as error:
        raise NotAuthentic(_in_words(error)) from error
    if not keys.verify(envelope):
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


def _check_kind(expected: type[Event], envelope: CloudEvent) -> None:
    schema, source = expected.dataschema(), f"/{expected.source}"
    if (envelope.type, envelope.dataschema) != (expected.topic(), schema):
        found = f"{envelope.type!r} ({envelope.dataschema!r})"
        raise Unprocessable(f"it is {found}, and {schema} is expected")
    if envelope.source != source:
        raise Unprocessable(f"its source is {envelope.source!r}, not {source!r}")


def _in_words(error: ValidationError) -> str:
    # Without the values: a log is no place for customers' data.
    faults = []
    for fault in error.errors():
        where = ".".join(map(str, fault["loc"]))
        what = fault["msg"].removeprefix("Value error, ")
        faults.append(f"{where}: {what}" if where else what)
    return f"it is no valid {error.title} ({'; '.join(faults)})"
