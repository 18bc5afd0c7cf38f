"""What traces cost: the CPU time of the spans of one order. Print it: python -m tests.performance.traces."""

import gc
from collections.abc import Callable
from time import process_time
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from chassis.cloud_event import CloudEvent
from chassis.http.units import _operation
from chassis.inbox.reaction import Arrival, Reaction
from chassis.inbox.tracing import act
from chassis.outbox.outbox import trace_creation
from chassis.runtime import otlp, telemetry
from chassis.runtime.span_exporter import BATCH
from chassis.runtime.telemetry import Span, Tracer
from contracts.order_created import OrderCreated
from tests.support.delivering import order_created

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

ORDERS = 5000
ROUNDS = 5
RECORDED = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Encoding:
    """Makes requests of spans, as they are exported, and sends them nowhere."""

    def __init__(self) -> None:
        self.spans: list[bytes] = []
        self.number = 0

    def add(self, span: bytes) -> None:
        """Keep a span; make a request where they are enough for a batch."""
        self.spans.append(span)
        self.number += 1
        if len(self.spans) == BATCH:
            otlp.request({"service.name": "order"}, self.spans)
            self.spans.clear()

    def close(self) -> None:
        """Leave out what is no batch."""


def _nothing(_event: object, _envelope: object, _session: object) -> None:
    pass


class Order:
    """What an order does to traces: a request, two events created, two handled, all committed."""

    def __init__(self, tracer: Tracer | None) -> None:
        self.tracer = tracer
        self.woken: dict[str, list[Callable[[], object]]] = {}
        info = {"tracer": tracer, "woken": self.woken}
        self.session = cast("Session", SimpleNamespace(info=info))
        self.reaction = Reaction(OrderCreated, _nothing)
        self.event = order_created()
        self.envelopes = [
            CloudEvent.model_validate({**self.event, "traceparent": each})
            for each in (telemetry.unsampled(RECORDED), RECORDED)
        ]

    def place(self) -> None:
        """Do it once."""
        span = self._request()
        trace = span.context if span else telemetry.traceparent_or_new()
        arrived = self.envelopes[bool(span)]
        for _ in range(2):
            envelope = {**self.event, "traceparent": trace}
            if tracer := self.session.info.get("tracer"):
                trace_creation(self.session, tracer, envelope)
            act(self.session, self.reaction, arrived, None, Arrival.PUSHED)
        for end in self.woken.pop("", []):
            end()
        if span:
            span.end()

    def _request(self) -> Span | None:
        if self.tracer is None:
            return None
        operation = _operation("POST", "/api/order", "http")
        if span := self.tracer.enter(operation, None):
            span.attributes["url.path"] = "/api/order"
        return span


def measure(place: Callable[[], None], orders: int = ORDERS) -> float:
    """Return the microseconds of CPU time that one order takes: the least of all rounds."""
    rounds = []
    for _ in range(ROUNDS):
        gc.collect()
        began = process_time()
        for _ in range(orders):
            place()
        rounds.append((process_time() - began) / orders * 1e6)
    return min(rounds)


def main() -> None:
    """Print what an order costs without an endpoint, and with each kind of decision about its trace."""
    exporter = Encoding()
    kinds = {
        "no endpoint": None,
        "not recorded": Tracer(exporter, "parentbased_always_off"),
        "one in ten recorded": Tracer(exporter, "parentbased_traceidratio", 0.1),
        "recorded": Tracer(exporter, "parentbased_always_on"),
    }
    for kind, tracer in kinds.items():
        exporter.number = 0
        cost = measure(Order(tracer).place)
        spans = exporter.number / ORDERS / ROUNDS
        print(f"{kind}: {cost:.1f} µs and {spans:.1f} spans an order")  # noqa: T201


if __name__ == "__main__":
    main()
