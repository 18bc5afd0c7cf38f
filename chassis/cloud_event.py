"""The envelope of every event: CloudEvents 1.0 in JSON, structured mode."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictStr

from chassis.ids import uuid7
from contracts.event import Event, Timestamp


def _keepable(text: str) -> str:
    # The inbox keeps it, and PostgreSQL has no such character.
    if "\0" in text:
        raise ValueError("must not contain the character NUL")
    return text


class CloudEvent(BaseModel):
    """A CloudEvent as this system writes and reads it; attributes that Dapr adds on the way are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    specversion: Literal["1.0"] = "1.0"
    id: Annotated[StrictStr, AfterValidator(_keepable)] = Field(
        min_length=1, max_length=200
    )
    source: StrictStr
    type: StrictStr
    subject: StrictStr
    time: Timestamp
    datacontenttype: Literal["application/json"] = "application/json"
    dataschema: StrictStr
    # Dapr makes new ones for each publish where `traceid` is absent, and daprd before 1.18.3 crashes
    # where it is not a string: so both are there, and both are strings.
    traceid: StrictStr
    traceparent: StrictStr
    correlationid: StrictStr
    causationid: StrictStr
    aggregateversion: int = Field(le=2**31 - 1)
    data: dict[str, Any]


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
        time=datetime.now(UTC),
        dataschema=event.dataschema(),
        traceid=cause.trace,
        traceparent=cause.trace,
        correlationid=str(subject),
        causationid=cause.message or cause.trace,
        aggregateversion=version,
        data=event.data(),
    )
