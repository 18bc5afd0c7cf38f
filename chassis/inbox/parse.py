"""What was delivered, read as the event that is expected; what is none can never be taken in."""

from typing import TypeVar

from pydantic import ValidationError

from chassis.cloud_event import CloudEvent
from chassis.event import Event
from chassis.inbox.dead_letter import LARGEST

E = TypeVar("E", bound=Event)


class Unprocessable(Exception):
    """This event can never be taken in, however often it is tried."""


def parse(expected: type[E], body: bytes) -> tuple[CloudEvent, E]:
    """Read an event of this kind out of its envelope; raises Unprocessable where it is none."""
    if len(body) > LARGEST:
        raise Unprocessable(too_large(len(body)))
    try:
        envelope = CloudEvent.model_validate_json(body)
        _check_origin(expected, envelope)
        return envelope, expected.model_validate(
            envelope.data, by_alias=True, by_name=False
        )
    except ValidationError as error:
        raise Unprocessable(_in_words(error)) from error


def too_large(size: int) -> str:
    """Say that an event is, which has so many bytes."""
    return f"it has {size} bytes, and {LARGEST} are the most"


def _check_origin(expected: type[Event], envelope: CloudEvent) -> None:
    what, where = expected.dataschema(), f"/{expected.source}"
    if (envelope.type, envelope.dataschema) != (expected.topic(), what):
        raise Unprocessable(
            f"{envelope.type!r} ({envelope.dataschema!r}) was delivered where {what} is expected"
        )
    if envelope.source != where:
        raise Unprocessable(f"it comes from {envelope.source!r}, and not from {where}")


def as_it_should_be(expected: type[Event], body: bytes) -> CloudEvent | None:
    """Give the envelope of an event of this kind; None where it is none."""
    try:
        return parse(expected, body)[0]
    except Exception:  # noqa: BLE001 - not as it should be, or a bug of who reads it: nothing is known of it
        return None


def envelope_of(body: bytes) -> CloudEvent | None:
    """Give the envelope alone, whatever is in it; None where there is none."""
    try:
        return CloudEvent.model_validate_json(body)
    except ValidationError:
        return None


def _in_words(error: ValidationError) -> str:
    # Without the values: a log is no place for customers' data.
    faults = (
        f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"
        for fault in error.errors()
    )
    return f"it is no {error.title} as it should be ({'; '.join(faults)})"
