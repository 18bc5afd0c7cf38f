"""The base class of every event, and how an event travels."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    PlainSerializer,
    TypeAdapter,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel

to_json = TypeAdapter[Any](Any).serializer.to_json
"""Return a JSON value as compact JSON in UTF-8; raises ValueError where a text has a lone surrogate."""


def rfc3339(moment: datetime) -> str:
    """Return an aware time as RFC 3339 in UTC, to the millisecond: 2026-01-31T08:15:30.123Z."""
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
"""An aware time; on the wire RFC 3339 in UTC, to the millisecond."""


class Delivery(StrEnum):
    """How an event reaches the services that react to it."""

    PUSH_AND_PULL = "pushed through the broker, and pulled where the broker lost it"
    PULL = "pulled from the sender's feed only, within a second or two"


class Event(BaseModel):
    """Something that happened: immutable, camelCase on the wire, tolerant of unknown fields.

    `source` is the app-id of the service that publishes it, and whose feed carries it. An event can be made
    from any object with attributes of the same names.
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        from_attributes=True,
        frozen=True,
        extra="ignore",
        # An error goes to logs; what customers sent does not.
        hide_input_in_errors=True,
    )

    version: ClassVar[int] = 1
    source: ClassVar[str]
    delivery: ClassVar[Delivery] = Delivery.PUSH_AND_PULL

    @classmethod
    def topic(cls) -> str:
        """Return the topic, which is also the CloudEvent's type; each version has its own."""
        return cls.__name__

    @classmethod
    def contract(cls) -> str:
        """Return the name that all versions share: PaymentReceivedV2 is version 2 of PaymentReceived."""
        return cls.__name__.removesuffix(f"V{cls.version}")

    @classmethod
    def dataschema(cls) -> str:
        """Return the schema's name and version, as the CloudEvent's dataschema carries it."""
        return f"urn:contract:{cls.contract()}:{cls.version}"

    def data(self) -> dict[str, Any]:
        """Return the CloudEvent's `data` as JSON values, without absent fields."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)
