"""What traces cost: the CPU time of the spans of one order. Print it: python -m tests.performance.traces."""

import gc
from collections.abc import Callable
from time import process_time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.sampling import DEFAULT_ON
from opentelemetry.trace import SpanKind

from chassis.cloud_event import CloudEvent
from chassis.inbox.reaction import Arrival, Reaction
from chassis.inbox.tracing import act
from chassis.outbox.outbox import trace_creation
from chassis.runtime import otlp, telemetry
from chassis.runtime.telemetry import Tracer
from contracts.order_created import OrderCreated
from tests.support.delivering import order_created

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

ORDERS = 5000
BATCH = 512
RECORDED = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Encoding(SpanProcessor):
    """Makes requests of spans, as they are exported, and sends them nowhere."""

    def __init__(self) -> None:
        self.spans: list[bytes] = []
        self.number = 0

    def on_end(self, span: Any) -> None:  # noqa: ANN401 - a telemetry.Ended
        """Keep a span; make a request where they are enough for a batch."""
        self.spans.append(span.encoded)
        self.number += 1
        if len(self.spans) == BATCH:
            otlp.request({"service.name": "order"}, self.spans)
            self.spans.clear()


def _nothing(_event: object, _envelope: object, _session: object) -> None:
    pass


class Order:
    """What an order does to traces: a request, two events created, two handled, all committed."""

    def __init__(self, tracer: Tracer | None, trace: str) -> None:
        self.tracer = tracer
        self.trace = trace
        self.woken: dict[str, list[Callable[[], object]]] = {}
        info = {"tracer": tracer, "woken": self.woken}
        self.session = cast("Session", SimpleNamespace(info=info))
        self.reaction = Reaction(OrderCreated, _nothing)
        event = {**order_created(), "traceparent": trace, "traceid": trace}
        self.envelope = CloudEvent.model_validate(event)
        self.event = event

    def place(self) -> None:
        """Do it once."""
        span = None
        if self.tracer:
            attributes = {
                "http.request.method": "POST",
                "http.route": "/api/order",
                "url.path": "/api/order",
                "url.scheme": "http",
            }
            span = self.tracer.enter("POST /api/order", SpanKind.SERVER, self.trace, attributes)  # fmt: skip
        for _ in range(2):
            envelope = dict(self.event)
            if tracer := self.session.info.get("tracer"):
                trace_creation(self.session, tracer, envelope)
            act(self.session, self.reaction, self.envelope, None, Arrival.PUSHED)
        for end in self.woken.pop("", []):
            end()
        if span:
            span.end()


def measure(place: Callable[[], None], orders: int = ORDERS) -> float:
    """Return the microseconds of CPU time that one order takes: the least of five rounds."""
    rounds = []
    for _ in range(5):
        gc.collect()
        began = process_time()
        for _ in range(orders):
            place()
        rounds.append((process_time() - began) / orders * 1e6)
    return min(rounds)


def main() -> None:
    """Print what an order costs with traces off, on and not recorded, and on and recorded."""
    processor = Encoding()
    tracer = Tracer(processor, DEFAULT_ON)
    unrecorded = telemetry.unsampled(RECORDED)
    off = measure(Order(None, RECORDED).place)
    dropped = measure(Order(tracer, unrecorded).place)
    recorded = measure(Order(tracer, RECORDED).place)
    print(f"off {off:.1f} µs, not recorded {dropped:.1f} µs, recorded {recorded:.1f} µs an order")  # noqa: T201  # fmt: skip
    print(f"{processor.number / ORDERS / 5:.0f} spans an order")  # noqa: T201


if __name__ == "__main__":
    main()
