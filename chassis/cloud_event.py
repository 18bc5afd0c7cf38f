"""The envelope of every event: CloudEvents 1.0 in JSON, structured mode, with a signature."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr

from chassis.event import Event, Timestamp, rfc3339
from chassis.runtime import clock
from chassis.runtime.ids import uuid7

# As long, and as large, as the columns that store them.
LONGEST, MOST = 200, 2**31
Word = Annotated[StrictStr, Field(max_length=LONGEST)]
Count = Annotated[StrictInt, Field(ge=0, lt=MOST)]
# PostgreSQL stores NUL in no text. What is signed contains none (chassis/signature.py), and a trace is not signed.
Trace = Annotated[Word, Field(pattern=r"^[^\x00]*$")]


class CloudEvent(BaseModel):
    """A CloudEvent as this system writes and reads it; attributes that Dapr adds on the way are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

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
    traceid: Trace
    traceparent: Trace
    correlationid: Word
    causationid: Word
    aggregateversion: Count
    data: dict[str, Any]
    # An extension attribute of ours; empty on what nobody signed (chassis/signature.py).
    signature: Word = ""


@dataclass(frozen=True)
class Cause:
    """What led to an event: its W3C trace context, and the id of the message before it."""

    trace: str
    message: str | None = None

    def __post_init__(self) -> None:
        """Refuse what no consumer accepts: its event would hold up their cursors."""
        if len(self.trace) > LONGEST or "\0" in self.trace:
            raise ValueError(f"{self.trace[:LONGEST]!r} is no trace context")


class Signer(Protocol):
    """Signs envelopes: chassis.keys.Keyring."""

    def sign(self, envelope: Mapping[str, Any]) -> str:
        """Return the signature of an envelope."""


class Keys(Signer, Protocol):
    """Signs envelopes, and verifies their signatures: chassis.keys.Keyring."""

    def verify(self, envelope: Mapping[str, Any]) -> bool:
        """Return whether an envelope carries the signature of its source."""


def create_cloud_event(  # noqa: PLR0913 - what an envelope is made of
    event: Event,
    *,
    service: str,
    subject: UUID,
    cause: Cause,
    version: int = 1,
    keys: Signer,
) -> dict[str, Any]:
    """Return the complete, final envelope of an event about `subject`, signed: a CloudEvent as JSON values.

    Dapr reads the trace as `traceparent`; it is also the causation id of an event without a message before
    it. Events about one subject share its id as their correlation id, and `version` counts them. Raises
    ValueError for a version that no consumer accepts.
    """
    if not 0 <= version < MOST:
        raise ValueError(f"{version} is no version of an aggregate")
    about = str(subject)
    envelope: dict[str, Any] = {
        "specversion": "1.0",
        "id": str(uuid7()),
        "source": f"/{service}",
        "type": event.topic(),
        "subject": about,
        "time": rfc3339(clock.now()),
        "datacontenttype": "application/json",
        "dataschema": event.dataschema(),
        "traceid": cause.trace,
        "traceparent": cause.trace,
        "correlationid": about,
        "causationid": cause.message or cause.trace,
        "aggregateversion": version,
        "data": event.data(),
    }
    envelope["signature"] = keys.sign(envelope)
    return envelope
