"""The AsyncAPI 3.0 document: every event, who sends it, who hears it, and how it travels."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chassis.cloud_event import CloudEvent
from contracts.event import Event, Way
from toolchain.documents import schemas, services
from toolchain.documents.services import Use
from toolchain.machine.failure import Failure

Json = dict[str, Any]

SAMPLES = Path(__file__).parent.parent.parent / "contracts" / "samples"
REFS = "#/components/schemas/{model}"
ABOUT = """\
What the services tell each other. Every event is a CloudEvent 1.0 in JSON, structured mode: the message is
the whole envelope, its `data` is the event's own schema, and `dataschema` says which version that is. An
event may come more than once; its `id` stays the same, and a reader takes it in once. Readers tolerate
attributes and fields that they do not know: Dapr adds `topic`, `pubsubname` and `tracestate` on the way.
"""


def document() -> Json:
    """Make the document; the same code gives the same document."""
    events = schemas.events()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Orders on Dapr: the events",
            "version": "1.0.0",
            "description": ABOUT,
        },
        "defaultContentType": "application/cloudevents+json",
        "channels": {event.topic(): _channel(event) for event in events},
        "operations": dict(each for event in events for each in _operations(event)),
        "components": {
            "messages": {schemas.file_name(event): _message(event) for event in events},
            "schemas": _schemas(events),
        },
    }


def _channel(event: type[Event]) -> Json:
    name = schemas.file_name(event)
    return {
        "address": event.topic() if event.way is Way.PUSHED else None,
        "title": event.topic(),
        "description": _journey(event),
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
        "x-way": event.way.name,
    }


def _journey(event: type[Event]) -> str:
    if event.way is Way.PUSHED:
        return (
            f"Way: {event.way}. The address is the topic of the pub/sub component `pubsub`; "
            f"Dapr delivers it to `POST /events/{event.topic()}`."
        )
    return f"Way: {event.way}. It is not published to the broker: readers ask its sender for it."


def _operations(event: type[Event]) -> Iterator[tuple[str, Json]]:
    for action, verb, uses in (
        ("send", "sends", services.senders(event)),
        ("receive", "hears", services.hearers(event)),
    ):
        for use in uses:
            name = f"{use.service}.{action}.{event.topic()}.{use.name}"
            yield (
                name,
                _operation(event, action, f"{use.service} {verb} {event.topic()}", use),
            )


def _operation(event: type[Event], action: str, title: str, use: Use) -> Json:
    channel = f"#/channels/{event.topic()}"
    return {
        "action": action,
        "title": title,
        "summary": use.summary,
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/{schemas.file_name(event)}"}],
        "tags": [{"name": use.service}],
    }


def _message(event: type[Event]) -> Json:
    name = schemas.file_name(event)
    data = {
        "type": {"const": event.topic()},
        "dataschema": {"const": event.dataschema()},
        "data": {"$ref": f"#/components/schemas/{name}"},
    }
    envelope = {"$ref": "#/components/schemas/CloudEvent"}
    return {
        "name": event.topic(),
        "title": f"{event.contract()}, version {event.version}",
        "summary": (event.__doc__ or "").partition("\n")[0],
        "contentType": "application/cloudevents+json",
        "correlationId": {"location": "$message.payload#/correlationid"},
        "payload": {"allOf": [envelope, {"type": "object", "properties": data}]},
        "examples": list(_examples(name)),
    }


def _examples(name: str) -> Iterator[Json]:
    for file in sorted(SAMPLES.glob(f"{name}.*.json")):
        what = file.stem.removeprefix(f"{name}.")
        yield {"name": what, "payload": json.loads(file.read_text(encoding="utf-8"))}


def _schemas(events: list[type[Event]]) -> Json:
    found = {"CloudEvent": _envelope()}
    found |= {schemas.file_name(each): schemas.of_data(each, REFS) for each in events}
    for schema in list(found.values()):
        for name, shared in schema.pop("$defs", {}).items():
            if found.setdefault(name, shared) != shared:
                raise _ambiguous(name)
    return found


def _ambiguous(name: str) -> Failure:
    return Failure(
        f"Two different classes of the events' fields are called {name}",
        "In AsyncAPI the schemas of all events share one list of names.",
        "Give one of the classes in contracts/ another name.",
    )


def _envelope() -> Json:
    schema = CloudEvent.model_json_schema(
        mode="serialization", schema_generator=schemas.AsSent, ref_template=REFS
    )
    # What has a default is always there too; only what may be None is left out.
    fields = CloudEvent.model_fields.items()
    schema["required"] = [name for name, field in fields if field.default is not None]
    return schema
