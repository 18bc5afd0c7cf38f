"""The envelope of every event: CloudEvents 1.0 in JSON, structured mode, with a signature."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol, Self
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

# As long, and as large, as the columns that store them.
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
    # An extension attribute of ours; empty on what nobody signed (chassis/signature.py).
    signature: Word = ""

    @model_validator(mode="after")
    def _can_be_stored(self) -> Self:
        # PostgreSQL stores this one character in no text.
        if _has_nul([*self.__dict__.values()]):
            raise ValueError("it contains a NUL character")
        return self


def _has_nul(value: object) -> bool:
    if isinstance(value, dict):
        return _has_nul([*value, *value.values()])
    if isinstance(value, list):
        return any(map(_has_nul, value))
    return isinstance(value, str) and "\0" in value


@dataclass(frozen=True)
class Cause:
    """What led to an event: its W3C trace context, and the id of the message before it."""

    trace: str
    message: str | None = None


class Signer(Protocol):
    """Signs envelopes: chassis.signature.SigningKeys."""

    def sign(self, envelope: CloudEvent) -> str:
        """Return the signature of an envelope."""


def create_cloud_event(  # noqa: PLR0913 - what an envelope is made of
    event: Event,
    *,
    service: str,
    subject: UUID,
    cause: Cause,
    version: int = 1,
    keys: Signer | None = None,
) -> CloudEvent:
    """Return the complete, final envelope of an event about `subject`, signed where there are keys.

    Dapr reads the trace as `traceparent`; it is also the causation id of an event without a message before
    it. Events about one subject share its id as their correlation id, and `version` counts them.
    """
    envelope = CloudEvent(
        id=str(uuid7()),
        source=f"/{service}",
        type=event.topic(),
        subject=str(subject),
        time=clock.now_ms(),
        dataschema=event.dataschema(),
        traceid=cause.trace,
        traceparent=cause.trace,
        correlationid=str(subject),
        causationid=cause.message or cause.trace,
        aggregateversion=version,
        data=event.data(),
    )
    if keys is None:
        return envelope
    return envelope.model_copy(update={"signature": keys.sign(envelope)})
