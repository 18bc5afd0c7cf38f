"""Spans as protobuf: what OpenTelemetry's own classes read is what was written."""

import pytest
from opentelemetry.trace import SpanKind

from chassis.runtime import otlp
from toolchain.observe.otlp import Span, Value, parse

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
ITSELF, PARENT = f"{2:016x}", f"{1:016x}"
TIMES = (1_795_900_000_000_000_000, 1_795_900_000_001_000_000)


def exported(**changes: object) -> list[Span]:
    """Return what is read of a request with two equal spans, made with these changes."""
    made = {
        "operation": otlp.operation("send OrderCreated", SpanKind.CLIENT, {}),
        "ids": (TRACE, ITSELF, PARENT),
        "times": TIMES,
        "own": {},
        "links": (),
        "failed": False,
    } | changes
    one = otlp.span(**made)  # type: ignore[arg-type]
    return parse(otlp.request({"service.name": "order"}, [one, one]))


def test_a_span_is_read_as_it_was_written() -> None:
    common: dict[str, str | int] = {"messaging.system": "dapr", "kind": 7}
    own: dict[str, Value] = {
        "messaging.message.id": "01a2",
        "nothing": "",
        "messaging.batch.message_count": 100_000,
        "zero": 0,
        "name": "Nguyễn " * 3000,
    }
    links = [(TRACE, f"{number:016x}") for number in range(1, 201)]
    operation = otlp.operation("send OrderCreated", SpanKind.CLIENT, common)

    spans = exported(operation=operation, own=own, links=links, failed=True)

    expected = Span(
        service="order",
        name="send OrderCreated",
        kind="CLIENT",
        trace=TRACE,
        id=ITSELF,
        parent=PARENT,
        start=TIMES[0],
        end=TIMES[1],
        failed=True,
        attributes={**common, **own},
        links=links,
    )
    assert spans == [expected, expected]


@pytest.mark.parametrize("kind", [SpanKind.SERVER, SpanKind.PRODUCER, SpanKind.CONSUMER])  # fmt: skip
def test_every_kind_has_its_number(kind: SpanKind) -> None:
    operation = otlp.operation("send mail", kind, {})

    assert {each.kind for each in exported(operation=operation)} == {kind.name}


def test_a_root_has_no_parent() -> None:
    (span, _) = exported(ids=(TRACE, "f" * 16, ""))

    assert (span.id, span.parent) == ("f" * 16, "")
