"""Traces: one trace follows an order through both services, by OpenTelemetry's conventions for messages and HTTP.

A trace context is a W3C traceparent, as text: an event's row keeps it, and its last digit says whether the trace
is recorded. Spans are recorded only where OTEL_EXPORTER_OTLP_ENDPOINT is set; without it this costs nothing.
They are made here and not by the SDK's tracer: a span that belongs to a unit of work is recorded once that is
committed, which may have run before; and each costs a fifth of one that the SDK makes and encodes.
"""

import asyncio
import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    TraceFlags,
    set_span_in_context,
)

from chassis.runtime import clock, otlp

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.sdk.trace.sampling import Sampler

_log = logging.getLogger(__name__)

Attributes = Mapping[str, str | int]

SYSTEM = "dapr"
"""What carries the events, as `messaging.system` names it: which broker that is, no service knows."""
_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
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
        self._tracer.record(self, failed=bool(error))


def _nanoseconds() -> int:
    return int(clock.now().timestamp() * 1_000_000) * 1000


@dataclass(slots=True)
class Ended:
    """A span that has ended, as OTLP; OpenTelemetry's processor looks at its flags alone."""

    encoded: bytes
    context: ClassVar = SpanContext(1, 1, is_remote=False, trace_flags=TraceFlags(1))


class Tracer:
    """Records the spans of one service; `sampler` decides about each trace that enters it."""

    def __init__(self, processor: "SpanProcessor", sampler: "Sampler") -> None:
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
        if parent and self._follows and is_sampled(parent):
            which = int(parent[3:35], 16), parent
            return self._begin(name, kind, which, attributes, links)
        known = parent if parent and _TRACEPARENT.fullmatch(parent) else ""
        if known and self._follows:
            return None
        return self._decide(name, kind, known, attributes, links)

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
        span.attributes = dict(attributes)
        span.links = [each for each in links if each and _TRACEPARENT.fullmatch(each)]
        return span

    def record(self, span: Span, *, failed: bool) -> None:
        """Record a span that ends now: it is exported later, on another thread."""
        parent = int(span.parent[36:52], 16) if span.parent else 0
        links = [(int(each[3:35], 16), int(each[36:52], 16)) for each in span.links]
        encoded = otlp.span(
            (span.trace_id, span.id, parent),
            span.name,
            span.kind,
            (span.start, max(span.start, _nanoseconds())),
            span.attributes,
            links,
            failed=failed,
        )
        # It hands on whatever it is given.
        self._processor.on_end(Ended(encoded))  # type: ignore[arg-type]

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
    provider = TracerProvider(
        resource=Resource.create({"service.name": service}), shutdown_on_exit=False
    )
    exporter = Exporter(url, OTLPSpanExporter(url), provider.resource.attributes)
    # The provider reads OTEL_TRACES_SAMPLER, the processor the variables that begin with OTEL_BSP_.
    return Tracer(BatchSpanProcessor(exporter), provider.sampler)  # type: ignore[arg-type]


class Exporter:
    """Exports what has ended to `url`; logs once that it fails, and once that it works again.

    OpenTelemetry's exporter sends it, with its time-outs, headers and TLS: by its client, as it would encode
    spans itself.
    """

    def __init__(self, url: str, exporter: Any, resource: Mapping[str, Any]) -> None:  # noqa: ANN401 - imported late
        self._url = url
        self._exporter = exporter
        self._resource = resource
        self._is_failing = False
        # They would log each attempt.
        for name in ("opentelemetry.exporter.otlp", "opentelemetry.sdk._shared_internal"):  # fmt: skip
            logging.getLogger(name).setLevel(logging.CRITICAL)

    def export(self, spans: Sequence[Ended]) -> None:
        """Export a batch, or drop it."""
        body = otlp.request(self._resource, [each.encoded for each in spans])
        failed = not self._exporter._client.export(body).success
        if failed and not self._is_failing:
            text = "traces are dropped until %s takes them; nothing else is affected"
            _log.warning(text, self._url)
        elif self._is_failing and not failed:
            _log.info("traces are exported to %s again", self._url)
        self._is_failing = failed

    def shutdown(self) -> None:
        """Send nothing more."""
        self._exporter.shutdown()
