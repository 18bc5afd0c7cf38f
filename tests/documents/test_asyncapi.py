"""docs/api/asyncapi.yaml: valid AsyncAPI 3.0 by the official schema, and true."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator, Draft202012Validator
from referencing import Registry

from chassis.event import Event
from toolchain.documents import asyncapi, publisher, schemas, services
from toolchain.machine.failure import Failure

OFFICIAL = Path(__file__).parent / "asyncapi" / "3.0.0.json"
ALONE: Registry[Any] = Registry()
"""With a registry given, a validator asks nobody for a schema."""
SENT = "order.send.OrderCreated"


@cache
def document() -> dict[str, Any]:
    """Return the document as it is committed."""
    text = (publisher.ROOT / publisher.API / "asyncapi.yaml").read_text(
        encoding="utf-8"
    )
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


@cache
def official() -> Draft7Validator:
    """Return the validator of AsyncAPI documents."""
    return Draft7Validator(
        json.loads(OFFICIAL.read_text(encoding="utf-8")), registry=ALONE
    )


def at(found: Any, *path: str) -> Any:  # noqa: ANN401 - JSON
    """Follow a path into the document."""
    for part in path:
        found = found[part]
    return found


def references(node: object) -> Iterator[str]:
    """Yield every `$ref`."""
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for each in node.values():
            yield from references(each)
    elif isinstance(node, list):
        for each in node:
            yield from references(each)


def test_it_is_valid() -> None:
    assert [error.message for error in official().iter_errors(document())] == []


def test_every_reference_leads_somewhere() -> None:
    found = set(references(document()))

    assert found
    for each in found:
        assert at(document(), *each.removeprefix("#/").split("/"))


@pytest.mark.parametrize("name", document()["components"]["messages"])
def test_every_example_fits_its_message(name: str) -> None:
    message = at(document(), "components", "messages", name)
    schema = {**message["payload"], "components": document()["components"]}
    validator = Draft202012Validator(schema, registry=ALONE)

    assert message["examples"]
    for example in message["examples"]:
        validator.validate(example["payload"])
        assert not validator.is_valid(
            example["payload"] | {"dataschema": "urn:contract:Other:1"}
        )
        assert not validator.is_valid(example["payload"] | {"data": {}})


def test_every_event_has_its_channel_and_says_how_it_is_delivered() -> None:
    channels = document()["channels"]

    assert set(channels) == {event.topic() for event in schemas.events()}
    for event in schemas.events():
        assert channels[event.topic()]["x-delivery"] == event.delivery.name
        assert event.delivery in channels[event.topic()]["description"]


def test_publishers_and_reactions_are_those_of_the_code() -> None:
    found = {
        (each["tags"][0]["name"], each["action"], name)
        for name, each in document()["operations"].items()
    }

    assert ("order", "send", SENT) in found
    reacts = "notification.receive.OrderCreated.notify_customer_on_order_created"
    assert ("notification", "receive", reacts) in found
    assert set(services.names()) >= {"order", "notification"}


def test_two_classes_with_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def of_data(event: type[Event], _refs: str) -> dict[str, Any]:
        return {"$defs": {"Line": {"title": event.__name__}}}

    monkeypatch.setattr(schemas, "of_data", of_data)

    with pytest.raises(Failure, match="called Line"):
        asyncapi.document()
