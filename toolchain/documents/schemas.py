"""The JSON Schema of each event's data, as it is on the wire: made from the classes in `contracts/`."""

import importlib
import pkgutil
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

import contracts
from chassis.event import Event
from toolchain.machine.failure import Failure

DIALECT = "https://json-schema.org/draft/2020-12/schema"


class AsSent(GenerateJsonSchema):
    """What `Event.data()` writes: what was not given is left out, so nothing is ever null."""

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Describe an optional field by the value that it has when it is there."""
        inner: Any = schema["schema"]
        if schema.get("default", ...) is None and inner["type"] == "nullable":
            return self.generate_inner(inner["schema"])
        return super().default_schema(schema)

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        """Return the schema, with unknown fields allowed."""
        return {**super().model_schema(schema), "additionalProperties": True}

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ANN401 - its base's signature
        """Leave titles out that only repeat the field's name."""
        return False


def events() -> list[type[Event]]:
    """Return every event of `contracts/`, each version of it, by name and version."""
    for module in pkgutil.walk_packages(contracts.__path__, "contracts."):
        importlib.import_module(module.name)
    found = [e for e in _heirs(Event) if e.__module__.startswith("contracts.")]
    for event in found:
        check_name(event)
    return sorted(found, key=lambda event: (event.contract(), event.version))


def _heirs(event: type[Event]) -> list[type[Event]]:
    return [each for heir in event.__subclasses__() for each in (heir, *_heirs(heir))]


def check_name(event: type[Event]) -> None:
    """Raise Failure where a class is not named after its version."""
    suffix = f"V{event.version}" if event.version > 1 else ""
    if event.__name__ != event.contract() + suffix:
        raise Failure(
            f"The event {event.__name__} does not carry its version in its name",
            f"It is version {event.version}, and a version has a topic of its own, named by its class.",
            f"Call it {event.contract()}{suffix}.",
        )


def file_name(event: type[Event]) -> str:
    """Name an event and its version as the files about it do: OrderCreated.1."""
    return f"{event.contract()}.{event.version}"


def of_data(event: type[Event], refs: str = "#/$defs/{model}") -> dict[str, Any]:
    """Describe the data of one version of an event."""
    return event.model_json_schema(
        mode="serialization", schema_generator=AsSent, ref_template=refs
    )


def of_event(event: type[Event]) -> dict[str, Any]:
    """Return the schema that is published: the event's data, under the name that its `dataschema` says."""
    return {"$schema": DIALECT, "$id": event.dataschema(), **of_data(event)}
