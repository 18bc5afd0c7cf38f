"""Spans as protobuf: what OpenTelemetry's own classes read is what was written."""

import pytest
from opentelemetry.trace import SpanKind

from chassis.runtime import otlp
from toolchain.observe.otlp import Span, Value, parse

TRACE = 0x4BF92F3577B34DA6A3CE929D0E0E4736
TIMES = (1_795_900_000_000_000_000, 1_795_900_000_001_000_000)


def exported(**changes: object) -> list[Span]:
    """Return what is read of a request with two equal spans, made with these changes."""
    made = {
        "ids": (TRACE, 2, 1),
        "name": "send OrderCreated",
        "kind": SpanKind.CLIENT,
        "times": TIMES,
        "attributes": {},
        "links": (),
        "failed": False,
    } | changes
    one = otlp.span(**made)  # type: ignore[arg-type]
    return parse(otlp.request({"service.name": "order"}, [one, one]))


def test_a_span_is_read_as_it_was_written() -> None:
    attributes: dict[str, Value] = {
        "messaging.system": "dapr",
        "messaging.message.id": "01a2",
        "messaging.batch.message_count": 100_000,
        "zero": 0,
        "name": "Nguyễn " * 3000,
    }
    links = [(TRACE, number) for number in range(1, 201)]

    spans = exported(attributes=attributes, links=links, failed=True)

    expected = Span(
        service="order",
        name="send OrderCreated",
        kind="CLIENT",
        trace=f"{TRACE:032x}",
        id=f"{2:016x}",
        parent=f"{1:016x}",
        start=TIMES[0],
        end=TIMES[1],
        failed=True,
        attributes=attributes,
        links=[(f"{TRACE:032x}", f"{number:016x}") for number in range(1, 201)],
    )
    assert spans == [expected, expected]


@pytest.mark.parametrize("kind", [SpanKind.SERVER, SpanKind.PRODUCER, SpanKind.CONSUMER])  # fmt: skip
def test_every_kind_has_its_number(kind: SpanKind) -> None:
    assert {each.kind for each in exported(kind=kind)} == {kind.name}


def test_a_root_has_no_parent() -> None:
    (span, _) = exported(ids=(TRACE, 2**64 - 1, 0))

    assert (span.id, span.parent) == ("f" * 16, "")
