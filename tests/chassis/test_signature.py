"""Signatures of events: what Dapr rewrites on the way keeps them valid, and what anybody alters does not."""

import json
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from chassis.cloud_event import Cause, CloudEvent, create_cloud_event
from chassis.event import Event
from chassis.signature import SigningKeys, UnsignableData

OLD, NEW = "old:an-old-key-of-30-characters", "new:a-new-key-of-30-characters-"
KEYS = SigningKeys.parse(OLD)
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
SUBJECT = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
DATA = {
    "z": 1,
    "a": "<Jane & João> \u2028 \U0001f642 \x7f \"'\\/",
    "nested": {"b": [True, None, -(2**53 - 1)], "a": {}},
    "é": [],
}


class Happened(Event):
    """An event with any data."""

    source = "test"
    content: Any = None


def signed(content: object = DATA, keys: SigningKeys = KEYS) -> dict[str, Any]:
    """Return a signed envelope with this content."""
    return create_cloud_event(
        Happened(content=content),
        service="test",
        subject=SUBJECT,
        cause=Cause(TRACE, "the message before"),
        version=3,
        keys=keys,
    )


def through_go(envelope: dict[str, Any]) -> str:
    """Return an envelope as daprd passes it on: sorted, escaped in Go's way, and with attributes of its own."""
    added = {"topic": "Happened", "pubsubname": "pubsub", "tracestate": ""}
    document = {**envelope, **added}
    text = json.dumps(
        document, sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )
    for each in "<>&\u2028\u2029":
        text = text.replace(each, f"\\u{ord(each):04x}")
    return text


def test_what_was_signed_is_verified() -> None:
    assert KEYS.verify(signed())
    assert KEYS.verify(json.loads(json.dumps(signed())))


def test_what_an_earlier_release_signed_is_verified() -> None:
    """Such events are in outboxes and queues: the bytes that version 1 signs never change."""
    every_character = "".join(map(chr, (*range(1, 256), 0x2028, 0x2029, 0xFFFF)))
    nested: list[Any] = [{"b": [True, False, None, 2**53 - 1, 1 - 2**53, "", {}, []]}]
    envelope = {
        "id": "<&> é",
        "source": "/tést",
        "type": "Happened",
        "subject": "\u2028 \\u0000",
        "time": "2026-01-31T08:15:30.123Z",
        "dataschema": "urn:contract:Happened:1",
        "correlationid": "\U0001f642",
        "causationid": "\"'\\/",
        "aggregateversion": 3,
        "data": {"\U0001f642": 1, "\uffff": 2, "Z": every_character, "": nested},
        "signature": "1.old.4d3b2daf7eb626f1bad282d8867ca6c5bec1a6eff36988242669721aebd55be6",
    }

    assert KEYS.verify(envelope)
    assert KEYS.sign(envelope) == envelope["signature"]


def test_a_signature_names_its_version_and_its_key() -> None:
    version, key_id, mac = signed()["signature"].split(".")

    assert (version, key_id, len(mac)) == ("1", "old", 64)


def test_the_order_of_keys_and_the_escapes_may_be_rewritten_on_the_way() -> None:
    envelope = signed()
    arrived = through_go(envelope)

    assert "\\u003cJane \\u0026" in arrived
    assert KEYS.verify(json.loads(arrived))
    reverse = dict(reversed(envelope.items()))
    assert KEYS.verify(json.loads(json.dumps(reverse, indent=2)))


def test_daprd_may_write_another_trace() -> None:
    other = {"traceid": "another", "traceparent": "another"}

    assert KEYS.verify({**signed(), **other})


@pytest.mark.parametrize(
    "change",
    [
        {"id": "another"},
        {"source": "/another"},
        {"type": "HappenedV2"},
        {"subject": "another"},
        {"time": "2026-01-31T08:15:30.123Z"},
        {"dataschema": "urn:contract:Happened:2"},
        {"correlationid": "another"},
        {"causationid": "another"},
        {"aggregateversion": 4},
    ],
    ids=lambda change: next(iter(change)),
)
def test_an_altered_attribute_is_noticed(change: dict[str, Any]) -> None:
    assert not KEYS.verify({**signed(), **change})


@pytest.mark.parametrize(
    "content",
    [
        {**DATA, "z": 2},
        {**DATA, "z": "1"},
        {**DATA, "z": True},
        {**DATA, "z": 1.0},
        {**DATA, "z": None},
        {**DATA, "more": None},
        {k: v for k, v in DATA.items() if k != "z"},
        {**DATA, "nested": {"b": [True, -(2**53 - 1), None], "a": {}}},
        {},
    ],
    ids=str,
)
def test_altered_data_are_noticed(content: dict[str, Any]) -> None:
    envelope = signed()

    assert not KEYS.verify({**envelope, "data": {"content": content}})
    assert not KEYS.verify({**envelope, "data": {}})


def test_the_signature_of_another_event_is_none() -> None:
    borrowed = signed("another")["signature"]

    assert not KEYS.verify({**signed(), "signature": borrowed})


@pytest.mark.parametrize("of", [KEYS, SigningKeys.generate()], ids=["known", "unknown"])
def test_only_the_holder_of_a_key_signs(of: SigningKeys) -> None:
    same_id = SigningKeys.parse("old:not-the-key-that-has-this-id")

    assert KEYS.verify(signed(keys=of)) is (of is KEYS)
    assert not same_id.verify(signed(keys=of))


@pytest.mark.parametrize(
    "signature",
    [
        "",
        ".",
        "..",
        "1",
        "1.old",
        "1.old.",
        "1..{}",
        "2.old.{}",
        ".old.{}",
        "1.old.{}x",
        " 1.old.{}",
        "1.old.{}\n",
        "1.new.{}",
        "1.OLD.{}",
        "1.old.\u00e9",
        "1.old.\ud800",
        "1.\ud800.{}",
    ],
    ids=ascii,
)
def test_a_malformed_signature_is_none(signature: str) -> None:
    envelope = signed()
    mac = envelope["signature"].rpartition(".")[2]

    assert not KEYS.verify({**envelope, "signature": signature.replace("{}", mac)})


def test_a_missing_signature_is_none() -> None:
    envelope = signed()
    del envelope["signature"]

    assert CloudEvent.model_validate(envelope).signature == ""
    assert not KEYS.verify(envelope)


@pytest.mark.parametrize("signature", [None, 7, ["1"], "x" * 201], ids=repr)
def test_a_signature_of_another_type_makes_no_envelope(signature: object) -> None:
    envelope = {**signed(), "signature": signature}

    with pytest.raises(ValidationError):
        CloudEvent.model_validate(envelope)


def test_what_nobody_could_have_signed_is_not_verified_and_does_no_harm() -> None:
    envelope = signed()
    deep: list[Any] = []
    for _ in range(5_000):
        deep = [deep]
    for data in (
        {"x": "\ud800"},
        {"\ud800": 1},
        {"x": float("nan")},
        {"x": 10**10_000},
        {"x": deep},
        {"x": "a\0b"},
    ):
        assert not KEYS.verify({**envelope, "data": data})


@pytest.mark.parametrize(
    "value",
    [
        1.5,
        1.0,
        float("nan"),
        2**53,
        -(2**53),
        10**400,
        "\ud800",
        "a\udfffb",
        {"\ud800": 1},
        {"x": [{"y": 1.5}]},
        [2**53],
        "a\0b",
        "\\\0",
        [{"x\0": 1}],
    ],
    ids=ascii,
)
def test_a_value_that_does_not_survive_its_way_is_refused_where_it_is_written(
    value: object,
) -> None:
    envelope = {**signed(), "data": {"value": value}}

    with pytest.raises(UnsignableData):
        KEYS.sign(envelope)


@pytest.mark.parametrize(
    "value",
    [2**53 - 1, 1 - 2**53, True, None, "\uffff", "", "\\u0000", "\\\\u0000"],
    ids=ascii,
)
def test_a_value_that_survives_its_way_is_signed(value: object) -> None:
    assert KEYS.verify(json.loads(through_go(signed(value))))


def test_a_new_key_is_verified_before_anybody_signs_with_it() -> None:
    prepared = SigningKeys.parse(f"{OLD}\n{NEW}")
    renewed = SigningKeys.parse(f"{NEW}\n{OLD}")

    of_the_old = [signed(keys=KEYS), signed(keys=prepared)]
    of_the_new = signed(keys=renewed)

    assert {each["signature"].split(".")[1] for each in of_the_old} == {"old"}
    assert of_the_new["signature"].split(".")[1] == "new"
    for keys in (prepared, renewed):
        assert all(keys.verify(each) for each in (*of_the_old, of_the_new))
    assert not KEYS.verify(of_the_new)
    assert not SigningKeys.parse(NEW).verify(of_the_old[0])


@pytest.mark.parametrize("version", [-1, 2**31])
def test_a_version_that_no_consumer_accepts_is_refused_where_it_is_written(
    version: int,
) -> None:
    with pytest.raises(ValueError, match="no version"):
        create_cloud_event(
            Happened(),
            service="test",
            subject=SUBJECT,
            cause=Cause(TRACE),
            version=version,
            keys=KEYS,
        )


@pytest.mark.parametrize("trace", ["x" * 201, "\0"])
def test_a_trace_that_no_consumer_accepts_is_refused_where_it_is_written(
    trace: str,
) -> None:
    with pytest.raises(ValueError, match="no trace context"):
        Cause(trace)
