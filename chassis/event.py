"""What every event of this system has in common on the wire."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    PlainSerializer,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel


def rfc3339(moment: datetime) -> str:
    """Write an aware time as RFC 3339 in UTC, to the millisecond, with a Z: 2026-01-31T08:15:30.123Z."""
    return (
        moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("is before the year 1 or after 9999 in UTC") from error


_JSON_SCHEMA = {
    "type": "string",
    "format": "date-time",
    "examples": ["2026-01-31T08:15:30.123Z"],
}

Timestamp = Annotated[
    AwareDatetime,
    AfterValidator(_in_utc),
    PlainSerializer(rfc3339, return_type=str),
    WithJsonSchema(_JSON_SCHEMA, mode="serialization"),
]


class Way(StrEnum):
    """How an event travels to those who react to it."""

    PUSHED = "pushed through the broker, and pulled where the broker lost it"
    PULLED = "pulled alone, within a second or two: nobody waits for it in milliseconds"


class Event(BaseModel):
    """Something that happened: immutable, camelCase on the wire, and tolerant of fields it does not know.

    `source` is the app-id of the service that says it, and whose feed carries it.
    """

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, frozen=True, extra="ignore"
    )

    version: ClassVar[int] = 1
    source: ClassVar[str]
    way: ClassVar[Way] = Way.PUSHED

    @classmethod
    def topic(cls) -> str:
        """Name the topic, which is also the CloudEvent's type: each version has its own, as its class has."""
        return cls.__name__

    @classmethod
    def contract(cls) -> str:
        """Name what its versions have in common: OrderCreatedV2 is version 2 of OrderCreated."""
        return cls.__name__.removesuffix(f"V{cls.version}")

    @classmethod
    def dataschema(cls) -> str:
        """Name the schema and its version, as the CloudEvent's dataschema carries it."""
        return f"urn:contract:{cls.contract()}:{cls.version}"

    def data(self) -> dict[str, Any]:
        """Give the CloudEvent's `data`, as JSON has it; what was not given is left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)
