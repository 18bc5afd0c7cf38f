"""What may change in a published version of an event, and what makes a new version necessary."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from contracts.notification_failed import NotificationFailed
from contracts.order_created import OrderCreated
from toolchain.documents import schemas
from toolchain.documents.compatibility import incompatibilities

Schema = dict[str, Any]
Edit = Callable[[Schema], object]

ORDER = schemas.of_event(OrderCreated)
FAILED = schemas.of_event(NotificationFailed)
NESTED: Schema = {
    "type": "object",
    "properties": {
        "lines": {"type": "array", "items": {"$ref": "#/$defs/Line"}},
        "either": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
    },
    "$defs": {
        "Line": {
            "type": "object",
            "properties": {
                "sku": {"type": "string", "default": "none"},
                "part": {"$ref": "#/$defs/Line"},
            },
        }
    },
}


def after(published: Schema, edit: Edit) -> list[str]:
    """List what an edit breaks in a published schema."""
    current = deepcopy(published)
    edit(current)
    return incompatibilities(published, current)


def field(name: str, **change: object) -> Edit:
    """Return an edit of a field's keywords; None removes one."""

    def edit(schema: Schema) -> None:
        kept = schema["properties"][name] | change
        schema["properties"][name] = {k: v for k, v in kept.items() if v is not None}

    return edit


def line(schema: Schema) -> Schema:
    """Return the nested schema of a line."""
    found: Schema = schema["$defs"]["Line"]["properties"]
    return found


@pytest.mark.parametrize("schema", [ORDER, FAILED, NESTED])
def test_what_did_not_change_breaks_nothing(schema: Schema) -> None:
    assert incompatibilities(schema, deepcopy(schema)) == []


@pytest.mark.parametrize(
    ("published", "edit"),
    [
        (ORDER, lambda s: s["properties"].update(note={"type": "string"})),
        (ORDER, lambda s: s.update(description="Better said.", title="Order")),
        (ORDER, lambda s: s["required"].reverse()),
        (ORDER, field("customerName", examples=["Jane"], description="Who ordered.")),
        (FAILED, lambda s: s["properties"]["outcome"]["enum"].reverse()),
        (NESTED, lambda s: line(s).update(note={"type": "string"})),
    ],
)
def test_what_readers_tolerate_may_change(published: Schema, edit: Edit) -> None:
    found = after(published, edit)

    assert found == []


def required(schema: Schema) -> None:
    """Add a field that every event must have."""
    schema["properties"]["note"] = {"type": "string"}
    schema["required"].append("note")


@pytest.mark.parametrize(
    ("published", "edit", "said"),
    [
        (ORDER, lambda s: s["properties"].pop("customerName"), "event.customerName was removed"),
        (ORDER, lambda s: s["properties"].pop("customerEmail"), "event.customerEmail was removed"),
        (ORDER, required, "event.note is required now"),
        (ORDER, lambda s: s["required"].append("customerEmail"), "event.customerEmail is required now"),
        (ORDER, lambda s: s["required"].remove("customerName"), "event.customerName is optional now"),
        (ORDER, field("customerName", type="integer"), "event.customerName: type was changed from 'string'"),
        (ORDER, field("customerName", type=["string", "null"]), "event.customerName: type was changed"),
        (ORDER, field("orderId", format=None), "event.orderId: format was changed from 'uuid' to None"),
        (ORDER, field("orderId", format="date"), "event.orderId: format was changed from 'uuid' to 'date'"),
        (ORDER, field("customerName", pattern="^[A-Z]"), "pattern was changed from None to '^[A-Z]'"),
        (ORDER, field("customerName", maxLength=100), "event.customerName: maxLength was changed"),
        (ORDER, field("customerName", maxLength=300), "event.customerName: maxLength was changed"),
        (ORDER, field("customerName", maxLength=None), "event.customerName: maxLength was changed"),
        (ORDER, lambda s: s.update(additionalProperties=False), "event: additionalProperties was changed"),
        (FAILED, field("channel", enum=["email"]), "event.channel: enum was changed"),
        (FAILED, field("channel", enum=["console", "sms"]), "event.channel: enum 2 was changed"),
        (FAILED, field("channel", enum=["console", "email", "sms"]), "event.channel: enum was changed"),
        (FAILED, field("outcome", enum=None), "event.outcome: enum was changed"),
        (NESTED, lambda s: line(s).pop("sku"), "event.lines: items.sku was removed"),
        (NESTED, lambda s: line(s)["sku"].update(default="new"), "items.sku: default was changed from 'none'"),
        (NESTED, lambda s: line(s).update(part={"type": "string"}), "items.part: type was changed"),
        (NESTED, lambda s: s["properties"]["lines"].pop("items"), "event.lines: items was changed"),
        (NESTED, lambda s: s["properties"]["either"]["anyOf"].pop(), "event.either: anyOf was changed"),
        (NESTED, lambda s: s["properties"]["either"]["anyOf"][1].update(minimum=1), "anyOf 2: minimum was"),
    ],
)  # fmt: skip
def test_what_breaks_a_side_is_said(published: Schema, edit: Edit, said: str) -> None:
    found = after(published, edit)

    assert any(said in each for each in found), found


def test_every_change_is_listed() -> None:
    def edit(schema: Schema) -> None:
        required(schema)
        schema["properties"].pop("customerName")
        schema["properties"]["orderId"]["type"] = "integer"

    assert len(after(ORDER, edit)) == 3
