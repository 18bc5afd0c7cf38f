"""OrderCreated on the wire: its names, its times, what it tolerates and what it does not."""

from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from chassis.event import rfc3339
from contracts.order_created import OrderCreated

WIRE: dict[str, Any] = {
    "orderId": "0198c0de-0000-7000-8000-000000000001",
    "customerName": "Zoë",
    "createdAt": "2026-01-31T08:15:30.123Z",
}


def on_the_wire(event: OrderCreated) -> dict[str, Any]:
    """Return an event's data as they are sent."""
    return event.data()


def test_its_names_on_the_wire_are_camel_case() -> None:
    event = OrderCreated(
        order_id=UUID(WIRE["orderId"]),
        customer_name="Zoë",
        created_at=datetime(2026, 1, 31, 8, 15, 30, 123_000, UTC),
    )

    assert on_the_wire(event) == WIRE


def test_it_is_made_from_whatever_has_its_fields() -> None:
    order = SimpleNamespace(
        order_id=UUID(WIRE["orderId"]),
        customer_name="Zoë",
        customer_email=None,
        created_at=datetime(2026, 1, 31, 8, 15, 30, 123_000, UTC),
        colour="red",
    )

    assert on_the_wire(OrderCreated.model_validate(order)) == WIRE


def test_what_was_sent_is_what_is_read() -> None:
    assert on_the_wire(OrderCreated.model_validate(WIRE)) == WIRE


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("2026-01-31T08:15:30Z", "2026-01-31T08:15:30.000Z"),
        ("2026-01-31T08:15:30.123456Z", "2026-01-31T08:15:30.123Z"),
        ("2026-01-31T09:15:30.5+01:00", "2026-01-31T08:15:30.500Z"),
        ("2026-01-31T00:15:30-08:00", "2026-01-31T08:15:30.000Z"),
    ],
)
def test_a_time_is_utc_with_milliseconds_and_a_z(sent: str, read: str) -> None:
    event = OrderCreated.model_validate({**WIRE, "createdAt": sent})

    assert on_the_wire(event)["createdAt"] == read


def test_a_time_of_another_zone_is_written_as_utc() -> None:
    moment = datetime(2026, 1, 31, 13, 45, tzinfo=timezone(timedelta(hours=5.5)))

    assert rfc3339(moment) == "2026-01-31T08:15:00.000Z"


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValidationError, match="createdAt"):
        OrderCreated.model_validate({**WIRE, "createdAt": "2026-01-31T08:15:30"})


def test_fields_of_a_later_version_are_tolerated() -> None:
    later = {**WIRE, "loyaltyPoints": 7, "address": {"city": "Bern"}}

    assert on_the_wire(OrderCreated.model_validate(later)) == WIRE


@pytest.mark.parametrize("field", WIRE)
def test_each_field_is_needed(field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        OrderCreated.model_validate({k: v for k, v in WIRE.items() if k != field})


@pytest.mark.parametrize(
    ("field", "value"),
    [("orderId", "42"), ("customerName", ""), ("customerName", "J" * 201)],
)
def test_a_value_that_cannot_be_is_refused(field: str, value: str) -> None:
    with pytest.raises(ValidationError, match=field):
        OrderCreated.model_validate({**WIRE, field: value})


def test_an_event_that_happened_does_not_change() -> None:
    event = OrderCreated.model_validate(WIRE)

    with pytest.raises(ValidationError, match="frozen"):
        event.customer_name = "Jane"  # type: ignore[misc]
    assert event == OrderCreated.model_validate(WIRE)
    assert hash(event) == hash(OrderCreated.model_validate(WIRE))


def test_its_topic_and_its_schema_are_named_after_it() -> None:
    assert OrderCreated.topic() == "OrderCreated"
    assert OrderCreated.dataschema() == "urn:contract:OrderCreated:1"
