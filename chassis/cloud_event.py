"""The envelope of every event: CloudEvents 1.0 in JSON, structured mode."""

import hashlib
import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictInt,
    StrictStr,
    model_validator,
)

from chassis.event import Event, Timestamp
from chassis.runtime import clock
from chassis.runtime.ids import uuid7

# As long, and as large, as the columns are in which they are kept.
Word = Annotated[StrictStr, Field(max_length=200)]
Count = Annotated[StrictInt, Field(ge=0, lt=2**31)]


class CloudEvent(BaseModel):
    """A CloudEvent as this system writes and reads it; attributes that Dapr adds on the way are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    specversion: Literal["1.0"] = "1.0"
    id: Word = Field(min_length=1)
    source: Word
    type: Word
    subject: Word
    time: Timestamp
    datacontenttype: Literal["application/json"] = "application/json"
    dataschema: Word
    # Dapr makes new ones for each publish where `traceid` is absent, and daprd before 1.18.3 crashes
    # where it is not a string: so both are there, and both are strings.
    traceid: Word
    traceparent: Word
    correlationid: Word
    causationid: Word
    aggregateversion: Count
    data: dict[str, Any]

    @model_validator(mode="after")
    def _can_be_kept(self) -> Self:
        # PostgreSQL has no room for this one character in any text.
        if _has_nul(self.model_dump()):
            raise ValueError("it contains a NUL character")
        return self


def digest_of(envelope: CloudEvent) -> bytes:
    """Give the SHA-256 of what an event says, the same before it travels and after: 32 bytes.

    Go sorts the keys on the way, so they are sorted here; and Dapr may write another trace.
    """
    said = envelope.model_dump(mode="json", exclude={"traceid", "traceparent"})
    canonical = json.dumps(said, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).digest()


def _has_nul(value: object) -> bool:
    if isinstance(value, dict):
        return _has_nul([*value, *value.values()])
    if isinstance(value, list):
        return any(map(_has_nul, value))
    return isinstance(value, str) and "\0" in value


@dataclass(frozen=True)
class Cause:
    """What led to an event: the W3C trace context that it belongs to, and the id of the message before it."""

    trace: str
    message: str | None = None


def envelop(
    event: Event, *, service: str, subject: UUID, cause: Cause, version: int = 1
) -> CloudEvent:
    """Make the complete, final envelope of an event about `subject`.

    Dapr reads the trace as `traceparent`; it is the causation id of a first event, which has no message
    before it. Events about one subject share its id as their correlation id, and `version` counts them.
    """
    return CloudEvent(
        id=str(uuid7()),
        source=f"/{service}",
        type=event.topic(),
        subject=str(subject),
        time=clock.now(),
        dataschema=event.dataschema(),
        traceid=cause.trace,
        traceparent=cause.trace,
        correlationid=str(subject),
        causationid=cause.message or cause.trace,
        aggregateversion=version,
        data=event.data(),
    )
