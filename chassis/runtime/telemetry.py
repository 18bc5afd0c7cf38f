"""Traces: one trace follows a request through all services, by OpenTelemetry's conventions for messages and HTTP.

A trace context is a W3C traceparent, as text: an event's row keeps it, and its last digit says whether the trace
is recorded. Spans are recorded only where OTEL_EXPORTER_OTLP_ENDPOINT is set; without it this costs nothing.
They are made here and not by the SDK's tracer: a span that belongs to a unit of work is recorded once that is
committed, which may have run before; and each costs an eighth of one that the SDK makes and encodes.
"""

import asyncio
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from itertools import count
from time import time_ns
from typing import Protocol

from opentelemetry.trace import SpanKind

from chassis.runtime import clock, otlp

FOLLOWS = "parentbased_"
SYSTEM = "dapr"
"""What carries the events, as `messaging.system` names it: which broker that is, no service knows."""
_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_SAMPLED = "13579bdf"
_IN_AN_EVENT = '"traceparent":"'

_ids = count(clock.random_bits(63) + 1)
"""The ids of this process's spans: a trace has no two of the same, and to count is cheaper than chance."""

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
    return trace[-1:] in _SAMPLED and bool(_TRACEPARENT.fullmatch(trace))


def unsampled(trace: str) -> str:
    """Return a trace context that is not recorded any further."""
    return f"{trace[:-2]}00" if is_sampled(trace) else trace


def trace_of(event: str) -> str:
    """Return the trace context in a stored event: an attribute of the envelope, before its data."""
    start = event.find(_IN_AN_EVENT) + len(_IN_AN_EVENT)
    return event[start : start + 55]


class Exporter(Protocol):
    """Takes spans that have ended, as OTLP: span_exporter.SpanExporter."""

    def add(self, span: bytes) -> object:
        """Take one, which is exported later, on another thread."""

    def close(self) -> object:
        """Export what is left."""


class Span:
    """A span that has begun, of a trace; until it is ended it is recorded nowhere.

    `attributes` are its own, beside those of its operation (otlp.operation).
    """

    __slots__ = ("_exporter", "_operation", "_start", "attributes", "id", "links", "parent", "trace")  # fmt: skip

    def __init__(
        self, exporter: Exporter, operation: bytes, trace: str, parent: str
    ) -> None:
        self._exporter = exporter
        self._operation = operation
        # Not the clock of the surroundings: nothing that a service does follows from it.
        self._start = time_ns()
        self.trace = trace
        self.parent = parent
        self.id = f"{next(_ids):016x}"
        self.attributes: dict[str, str | int] = {}
        self.links: Iterable[str] = ()

    @property
    def context(self) -> str:
        """Its trace context, for whatever it causes."""
        return f"00-{self.trace}-{self.id}-01"

    def end(self, error: str = "") -> None:
        """Record it: it ends now, with the kind of the error that it ended in."""
        if error:
            self.attributes["error.type"] = error
        encoded = otlp.span(
            self._operation,
            (self.trace, self.id, self.parent[36:52]),
            (self._start, max(self._start, time_ns())),
            self.attributes,
            [(each[3:35], each[36:52]) for each in self.links],
            failed=bool(error),
        )
        self._exporter.add(encoded)


class Tracer:
    """Begins the spans of one service, and hands each that has ended to its exporter.

    `sampler` is one of OpenTelemetry's names, and decides about each trace that enters the service; those that
    decide by a share record this `share`.
    """

    def __init__(self, exporter: Exporter, sampler: str, share: float = 1) -> None:
        self._exporter = exporter
        # These follow the caller's decision, and decide where there is none.
        self._follows = sampler.startswith(FOLLOWS)
        fixed = {"always_on": 1.0, "always_off": 0.0}
        self._below = round(fixed.get(sampler.removeprefix(FOLLOWS), share) * 2**64)

    def enter(
        self,
        operation: bytes,
        parent: str | None,
        links: Iterable[str] = (),
        *,
        failed: bool = False,
    ) -> Span | None:
        """Begin a span where a trace enters the service, unless the sampler leaves it out.

        What has failed is recorded whatever is decided about its trace, where anything is recorded.
        """
        known = parent if parent and _TRACEPARENT.fullmatch(parent) else ""
        trace = known[3:35] or f"{clock.random_bits(128) or 1:032x}"
        failed = failed and self._below > 0
        if not (failed or self._records(known, trace)):
            return None
        return self._begin(operation, trace, known, links)

    def _records(self, known: str, trace: str) -> bool:
        if known and self._follows:
            return known[-1] in _SAMPLED
        # By the last 64 bits, as OpenTelemetry does: all who record the same share choose the same traces.
        return int(trace[16:], 16) < self._below

    def child(self, operation: bytes, parent: str) -> Span | None:
        """Begin a span within a trace that is here already, if that is recorded."""
        if not is_sampled(parent):
            return None
        return Span(self._exporter, operation, parent[3:35], parent)

    def batch(self, operation: str, topic: str, events: Sequence[str]) -> Span | None:
        """Begin the span of a call that carries these events, linked to each one that is recorded.

        `events` are their trace contexts. Where one alone is recorded, the call belongs to its trace, too.
        """
        recorded = [each for each in events if is_sampled(each)]
        if not recorded:
            return None
        parent = recorded[0] if len(recorded) == 1 else ""
        trace = parent[3:35] or f"{clock.random_bits(128) or 1:032x}"
        span = self._begin(_batch(operation, topic), trace, parent, recorded)
        span.attributes["messaging.batch.message_count"] = len(events)
        return span

    def _begin(
        self, operation: bytes, trace: str, parent: str, links: Iterable[str]
    ) -> Span:
        span = Span(self._exporter, operation, trace, parent)
        span.links = [each for each in links if each and _TRACEPARENT.fullmatch(each)]
        return span

    async def close(self) -> None:
        """Export what is left."""
        await asyncio.to_thread(self._exporter.close)


def messaging(
    operation: str, topic: str, kind: SpanKind, others: Mapping[str, str] | None = None
) -> bytes:
    """Return what is done with an event (messaging conventions 1.43, in development), as an operation of spans."""
    attributes = {
        "messaging.system": SYSTEM,
        "messaging.destination.name": topic,
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        **(others or {}),
    }
    return otlp.operation(f"{operation} {topic}", kind, attributes)


@cache
def _batch(operation: str, topic: str) -> bytes:
    return messaging(operation, topic, SpanKind.CLIENT)


def of_event(span: Span, event: str, about: str) -> None:
    """Add which event a span is of, and what that is about."""
    span.attributes["messaging.message.id"] = event
    span.attributes["messaging.message.conversation_id"] = about


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
