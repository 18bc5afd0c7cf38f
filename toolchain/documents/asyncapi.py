"""The AsyncAPI 3.0 document: every event, who publishes it, who reacts to it, and how it is delivered."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chassis.cloud_event import CloudEvent
from chassis.event import Delivery, Event
from toolchain.documents import schemas, services
from toolchain.machine.failure import Failure

Json = dict[str, Any]

SAMPLES = Path(__file__).parent.parent.parent / "contracts" / "samples"
REFS = "#/components/schemas/{model}"
ABOUT = """\
The events that the services publish. Each is a CloudEvent 1.0 in JSON, structured mode: the message is the
whole envelope, its `data` has the event's own schema, and `dataschema` names its version. An event may arrive
more than once with the same `id`, and a consumer handles it once. Its `signature` proves that a service of this
system made it. Consumers ignore attributes and fields that they do not know: Dapr adds `topic`, `pubsubname`
and `tracestate` on the way.
"""


def document() -> Json:
    """Return the document; the same code makes the same document."""
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
        "address": event.topic() if _is_pushed(event) else None,
        "title": event.topic(),
        "description": _journey(event),
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
        "x-delivery": event.delivery.name,
    }


def _is_pushed(event: type[Event]) -> bool:
    return event.delivery is Delivery.PUSH_AND_PULL


def _journey(event: type[Event]) -> str:
    if _is_pushed(event):
        return (
            f"Delivery: {event.delivery}. The address is the topic of the pub/sub component `pubsub`; "
            f"Dapr delivers it to `POST /events/{event.topic()}`."
        )
    return f"Delivery: {event.delivery}. It is not published to the broker."


def _operations(event: type[Event]) -> Iterator[tuple[str, Json]]:
    topic = event.topic()
    name, title = f"{event.source}.send.{topic}", f"{event.source} publishes {topic}"
    yield name, _operation(event, event.source, action="send", title=title)
    for service, reaction in services.reactions_to(event):
        name = f"{service}.receive.{topic}.{reaction.name}"
        title, summary = f"{service} reacts to {topic}", _first_line(reaction.act)
        about = {"action": "receive", "title": title, "summary": summary}
        yield name, _operation(event, service, **about)


def _operation(event: type[Event], service: str, **about: str) -> Json:
    channel = f"#/channels/{event.topic()}"
    return {
        **about,
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/{schemas.file_name(event)}"}],
        "tags": [{"name": service}],
    }


def _first_line(documented: object) -> str:
    return (documented.__doc__ or "").partition("\n")[0]


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
        "summary": _first_line(event),
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
                raise Failure(
                    f"Two different classes of the events' fields are called {name}",
                    "In AsyncAPI the schemas of all events share one list of names.",
                    "Give one of the classes in contracts/ another name.",
                )
    return found


def _envelope() -> Json:
    schema = CloudEvent.model_json_schema(
        mode="serialization", schema_generator=schemas.AsSent, ref_template=REFS
    )
    # What has a default is always there too; only what may be None is left out.
    fields = CloudEvent.model_fields.items()
    schema["required"] = [name for name, field in fields if field.default is not None]
    return schema
