"""Traces: one trace follows an order through both services, by OpenTelemetry's conventions for messages and HTTP.

A trace context is a W3C traceparent, as text: an event's row keeps it, and its last digit says whether the trace
is recorded. Spans are recorded only where OTEL_EXPORTER_OTLP_ENDPOINT is set; without it this costs nothing.
They are made here and not by the SDK's tracer: a span that belongs to a unit of work is recorded once that is
committed, which may have run before; and each costs a third of one that the SDK makes.
"""

import asyncio
import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from chassis.runtime import clock

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.sdk.trace.sampling import Sampler

_log = logging.getLogger(__name__)

Attributes = Mapping[str, str | int]

SYSTEM = "dapr"
"""What carries the events, as `messaging.system` names it: which broker that is, no service knows."""
_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_IN_AN_EVENT = '"traceparent":"'

current: ContextVar[str] = ContextVar("trace", default="")
"""The trace context of what is being done: the log names it, and the sidecar is called within it."""
delivery: ContextVar[str] = ContextVar("delivery", default="")
"""The trace context that an event was delivered with, beside its own."""


def traceparent_or_new(given: str | None = None) -> str:
    """Return this W3C trace context if it is a valid one, else a new one."""
    if given and _TRACEPARENT.fullmatch(given):
        return given
    return f"00-{clock.random_bits(128):032x}-{clock.random_bits(64):016x}-00"


def is_sampled(trace: str) -> bool:
    """Return whether a trace is recorded."""
    return trace[-1:] in "13579bdf" and bool(_TRACEPARENT.fullmatch(trace))


def unsampled(trace: str) -> str:
    """Return a trace context that is not recorded any further."""
    return f"{trace[:-2]}00" if is_sampled(trace) else trace


def trace_of(event: str) -> str:
    """Return the trace context in a stored event: an attribute of the envelope, before its data."""
    start = event.find(_IN_AN_EVENT) + len(_IN_AN_EVENT)
    return event[start : start + 55]


def _context(trace: str) -> SpanContext:
    flags = TraceFlags(int(trace[53:55], 16))
    return SpanContext(int(trace[3:35], 16), int(trace[36:52], 16), True, flags)  # noqa: FBT003


class Span:
    """A span that has begun; until it is ended it is recorded nowhere."""

    def __init__(
        self, tracer: "Tracer", name: str, kind: SpanKind, trace_id: int, parent: str
    ) -> None:
        self._tracer = tracer
        self.name = name
        self.kind = kind
        self.trace_id = trace_id
        self.parent = parent
        self.id = clock.random_bits(64) or 1
        self.start = _nanoseconds()
        self.attributes: dict[str, str | int] = {}
        self.links: Sequence[str] = ()

    @property
    def context(self) -> str:
        """Its trace context, for whatever it causes."""
        return f"00-{self.trace_id:032x}-{self.id:016x}-01"

    def end(self, error: str = "") -> None:
        """End it now, with the kind of the error that it ended in."""
        if error:
            self.attributes["error.type"] = error
        self._tracer.record(self, StatusCode.ERROR if error else StatusCode.UNSET)


def _nanoseconds() -> int:
    return int(clock.now().timestamp() * 1_000_000) * 1000


class Tracer:
    """Records the spans of one service; `sampler` decides about each trace that enters it."""

    def __init__(
        self, resource: "Resource", processor: "SpanProcessor", sampler: "Sampler"
    ) -> None:
        self._resource = resource
        self._processor = processor
        self._sampler = sampler
        # OpenTelemetry's parent-based samplers follow the caller's decision, and decide where there is none.
        self._follows = sampler.get_description().startswith("ParentBased{")

    def enter(
        self,
        name: str,
        kind: SpanKind,
        parent: str | None,
        attributes: Attributes,
        links: Iterable[str] = (),
    ) -> Span | None:
        """Begin a span where a trace enters the service, unless the sampler leaves it out."""
        known = parent if parent and _TRACEPARENT.fullmatch(parent) else ""
        if not known or not self._follows:
            return self._decide(name, kind, known, attributes, links)
        if not is_sampled(known):
            return None
        return self._begin(name, kind, (int(known[3:35], 16), known), attributes, links)

    def _decide(
        self,
        name: str,
        kind: SpanKind,
        known: str,
        attributes: Attributes,
        links: Iterable[str],
    ) -> Span | None:
        trace_id = int(known[3:35], 16) if known else clock.random_bits(128) or 1
        within = NonRecordingSpan(_context(known)) if known else None
        decided = self._sampler.should_sample(
            set_span_in_context(within) if within else None,
            trace_id,
            name,
            kind,
            attributes,
        )
        if not decided.decision.name.startswith("RECORD"):
            return None
        return self._begin(name, kind, (trace_id, known), attributes, links)

    def child(
        self, name: str, kind: SpanKind, parent: str, attributes: Attributes
    ) -> Span | None:
        """Begin a span within a trace that is here already, if that is recorded."""
        if not is_sampled(parent):
            return None
        return self._begin(name, kind, (int(parent[3:35], 16), parent), attributes, ())

    def batch(self, operation: str, topic: str, events: Sequence[str]) -> Span | None:
        """Begin the span of a call that carries these events, linked to each one that is recorded.

        `events` are their trace contexts. Where one alone is recorded, the call belongs to its trace, too.
        """
        recorded = [each for each in events if is_sampled(each)]
        if not recorded:
            return None
        attributes = messaging(operation, topic)
        attributes["messaging.batch.message_count"] = len(events)
        of_one = recorded[0] if len(recorded) == 1 else ""
        trace_id = int(of_one[3:35], 16) if of_one else clock.random_bits(128) or 1
        name, which = f"{operation} {topic}", (trace_id, of_one)
        return self._begin(name, SpanKind.CLIENT, which, attributes, recorded)

    def _begin(
        self,
        name: str,
        kind: SpanKind,
        which: tuple[int, str],
        attributes: Attributes,
        links: Iterable[str],
    ) -> Span:
        span = Span(self, name, kind, *which)
        span.attributes.update(attributes)
        span.links = [each for each in links if _TRACEPARENT.fullmatch(each)]
        return span

    def record(self, span: Span, status: StatusCode) -> None:
        """Record a span that ends now: it is exported later, on another thread."""
        from opentelemetry.sdk.trace import ReadableSpan  # noqa: PLC0415 - see open_tracer

        links = [Link(_context(each)) for each in span.links]
        ended = ReadableSpan(
            span.name,
            SpanContext(span.trace_id, span.id, is_remote=False, trace_flags=_SAMPLED),
            _context(span.parent) if span.parent else None,
            self._resource,
            span.attributes,
            (),
            links,
            span.kind,
            None,
            Status(status),
            span.start,
            max(span.start, _nanoseconds()),
        )
        self._processor.on_end(ended)

    async def close(self) -> None:
        """Export what is left, and end the thread that exports."""
        await asyncio.to_thread(self._processor.shutdown)


def messaging(operation: str, topic: str) -> dict[str, str | int]:
    """Return the attributes of what is done with an event (messaging conventions 1.43, in development)."""
    return {
        "messaging.system": SYSTEM,
        "messaging.destination.name": topic,
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
    }


def of_event(operation: str, topic: str, event: str, about: str) -> Attributes:
    """Return the attributes of what is done with one event: its id, and what it is about."""
    ids = {"messaging.message.id": event, "messaging.message.conversation_id": about}
    return {**messaging(operation, topic), **ids}


@contextmanager
def within(span: Span | None) -> Iterator[None]:
    """Do something within a span, if there is one, and end it."""
    if span is None:
        yield
        return
    token = current.set(span.context)
    try:
        yield
    except BaseException as error:
        span.end(type(error).__name__)
        raise
    else:
        span.end()
    finally:
        current.reset(token)


def open_tracer(service: str, endpoint: str) -> Tracer:
    """Return the tracer of a service that exports to this OTLP endpoint, over HTTP.

    Everything else is OpenTelemetry's own: it reads the variables that begin with OTEL_.
    """
    # Imported here: whoever traces nothing does not pay for it, in time or memory.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter,
    )
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    url = f"{endpoint.rstrip('/')}/v1/traces"
    exporter = _reporting(OTLPSpanExporter(url), url)
    resource = Resource.create({"service.name": service})
    # It reads OTEL_TRACES_SAMPLER.
    sampler = TracerProvider(resource=resource, shutdown_on_exit=False).sampler
    return Tracer(resource, BatchSpanProcessor(exporter), sampler)


def _reporting(exporter: Any, url: str) -> Any:  # noqa: ANN401 - imported late
    """Make an exporter say once that it fails, and once that it works again; OpenTelemetry says it each time."""
    from opentelemetry.sdk.trace.export import SpanExportResult  # noqa: PLC0415

    for name in ("opentelemetry.exporter.otlp", "opentelemetry.sdk._shared_internal"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    export, failing = exporter.export, False

    def report(spans: Any) -> Any:  # noqa: ANN401 - imported late
        nonlocal failing
        result = export(spans)
        failed = result is not SpanExportResult.SUCCESS
        if failed and not failing:
            text = "traces are dropped until %s takes them; nothing else is affected"
            _log.warning(text, url)
        elif failing and not failed:
            _log.info("traces are exported to %s again", url)
        failing = failed
        return result

    exporter.export = report
    return exporter
