"""Spans are exported in batches by a thread; what a collector does not take holds up nothing."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.trace import SpanKind

from chassis.runtime import otlp
from chassis.runtime.span_exporter import BATCH, MOST_WAITING, SpanExporter
from tests.support.eventually import eventually
from toolchain.observe.otlp import parse, receiving
from toolchain.runfile import free_port

LATER = 3600.0
TRACE, ITSELF = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SPAN = otlp.span(
    otlp.operation("send mail", SpanKind.CLIENT, {}),
    (TRACE, ITSELF, ""),
    (1, 2),
    {},
    (),
    failed=False,
)


class Collector:
    """A collector, which answers once it may, and how many spans each request brought."""

    def __init__(self) -> None:
        self.requests: list[int] = []
        self.may_answer = threading.Event()

    def take(self, body: bytes) -> None:
        """Count the spans of a request."""
        self.requests.append(len(parse(body)))
        self.may_answer.wait(60)


@contextmanager
def exporting(
    delay: float, ends_within: float = 60
) -> Iterator[tuple[SpanExporter, Collector]]:
    """Run an exporter that exports after so many seconds, and its collector."""
    collector = Collector()
    with receiving(free_port(), collector.take) as endpoint:
        exporter = SpanExporter(f"{endpoint}/v1/traces", "order", delay, ends_within)
        try:
            yield exporter, collector
        finally:
            collector.may_answer.set()
            exporter.close()


async def test_a_full_batch_waits_for_nothing() -> None:
    with exporting(LATER) as (exporter, collector):
        collector.may_answer.set()
        for _ in range(BATCH + 1):
            exporter.add(SPAN)

        async def came() -> bool:
            return sum(collector.requests) == BATCH + 1

        await eventually(came, "all spans came")


def test_what_is_left_is_exported_at_the_end() -> None:
    with exporting(LATER) as (exporter, collector):
        collector.may_answer.set()
        exporter.add(SPAN)

    assert collector.requests == [1]


async def test_what_a_collector_does_not_take_is_dropped_and_holds_up_nothing() -> None:
    with exporting(0.01) as (exporter, collector):
        exporter.add(SPAN)

        async def asked() -> bool:
            return bool(collector.requests)

        await eventually(asked, "the collector is asked, and does not answer")
        for _ in range(2 * MOST_WAITING):
            exporter.add(SPAN)

    assert sum(collector.requests) == 1 + MOST_WAITING
    assert max(collector.requests) == BATCH


async def test_a_service_ends_though_its_collector_does_not_answer() -> None:
    with exporting(0.01, ends_within=0.1) as (exporter, collector):
        exporter.add(SPAN)

        async def asked() -> bool:
            return bool(collector.requests)

        await eventually(asked, "the collector is asked, and does not answer")

        exporter.close()

        assert not collector.may_answer.is_set()
