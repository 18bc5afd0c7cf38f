"""Golden samples: complete events of every version; each is read, and verified, while its version lives."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError
from sqlalchemy import select

from chassis.cloud_event import CloudEvent
from chassis.event import Event
from chassis.outbox.outbox import outbox
from chassis.signature import SigningKeys
from contracts.order_created import OrderCreated
from tests.support.services import Service
from toolchain.documents import schemas

CONTRACTS = Path(__file__).parent.parent.parent / "contracts"
SAMPLES = sorted((CONTRACTS / "samples").iterdir())
NAME = re.compile(r"(\w+)\.(\d+)\.([a-z-]+)\.json")
KEYS = SigningKeys.parse("samples:not-a-secret-it-signs-the-samples")
BY_SCHEMA = {event.dataschema(): event for event in schemas.events()}


def read(sample: Path) -> dict[str, Any]:
    """Read a sample as the inbox does a delivery."""
    loaded: dict[str, Any] = json.loads(sample.read_text(encoding="utf-8"))
    return loaded


def validator(event: type[Event]) -> Draft202012Validator:
    """Make a validator of the event's published schema, formats included."""
    file = CONTRACTS / "schemas" / f"{schemas.file_name(event)}.json"
    schema = json.loads(file.read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    checker = Draft202012Validator.FORMAT_CHECKER
    return Draft202012Validator(schema, format_checker=checker)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_a_sample_is_signed_so_that_every_release_verifies_it(sample: Path) -> None:
    envelope = read(sample)

    # A new sample is given this signature; that of an old one never changes, for such events are in queues.
    assert envelope["signature"] == KEYS.sign(envelope)
    assert KEYS.verify(envelope)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_a_sample_is_read_as_it_was_sent(sample: Path) -> None:
    envelope = CloudEvent.model_validate_json(sample.read_bytes())

    assert envelope.dataschema in BY_SCHEMA, "its version has no class any more"
    event = BY_SCHEMA[envelope.dataschema].model_validate(envelope.data)

    assert envelope.type == event.topic()
    assert event.data() == read(sample)["data"]
    validator(type(event)).validate(envelope.data)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_a_sample_is_named_after_its_event_and_version(sample: Path) -> None:
    found = NAME.fullmatch(sample.name)

    assert found
    assert read(sample)["dataschema"] == f"urn:contract:{found[1]}:{found[2]}"


@pytest.mark.parametrize("event", BY_SCHEMA.values(), ids=schemas.file_name)
def test_every_version_has_samples_and_each_field_is_in_one(event: type[Event]) -> None:
    mine = [read(each) for each in SAMPLES]
    mine = [each for each in mine if each["dataschema"] == event.dataschema()]

    assert len(mine) >= 2
    assert {name for each in mine for name in each["data"]} == set(
        schemas.of_data(event)["properties"]
    )


def test_samples_hold_what_dapr_adds_and_what_is_not_ascii() -> None:
    names = {each.name for each in SAMPLES}

    assert "OrderCreated.1.delivered-by-dapr.json" in names
    assert (
        "Nguyễn"
        in read(CONTRACTS / "samples/OrderCreated.1.non-ascii-name.json")["data"][
            "customerName"
        ]
    )


@pytest.mark.parametrize(
    "change",
    [
        {"orderId": "42"},
        {"createdAt": "yesterday"},
        {"customerName": ""},
        {"customerEmail": None},
        {"customerName": None},
    ],
)
def test_the_published_schema_refuses_what_is_never_sent(
    change: dict[str, Any],
) -> None:
    sent = read(CONTRACTS / "samples/OrderCreated.1.full.json")["data"]

    with pytest.raises(ValidationError):
        validator(OrderCreated).validate(sent | change)


def test_the_published_schema_tolerates_a_field_of_later() -> None:
    sent = read(CONTRACTS / "samples/OrderCreated.1.full.json")["data"]

    validator(OrderCreated).validate(sent | {"loyaltyPoints": 7})


async def test_the_order_service_sends_what_the_samples_show(order: Service) -> None:
    await order.http.post("/api/order", json={"customerName": "Jane Doe"})

    event = await order.database.read(
        lambda session: session.scalar(select(outbox.c.event))
    )
    sent = json.loads(event or "{}")
    sample = read(CONTRACTS / "samples/OrderCreated.1.minimal.json")
    assert sent.keys() == sample.keys()
    assert sent["data"].keys() == sample["data"].keys()
    validator(OrderCreated).validate(sent["data"])
