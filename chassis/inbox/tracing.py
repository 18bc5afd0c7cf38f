"""The span of a reaction to an event: a child of the event's creation, linked to its delivery."""

from functools import cache
from typing import Any

from opentelemetry.trace import SpanKind
from sqlalchemy.orm import Session

from chassis.cloud_event import CloudEvent
from chassis.database import once_committed
from chassis.inbox.reaction import AnyReaction
from chassis.runtime import telemetry
from chassis.runtime.telemetry import Span, Tracer

REPLAYED = "REPLAYED"
"""How a dead letter that is replayed arrives; its span belongs to the replay, and is linked to the event's."""


def act(
    session: Session,
    reaction: AnyReaction,
    envelope: CloudEvent,
    event: Any,  # noqa: ANN401 - the reaction's
    arrival: str,
) -> None:
    """Run a reaction on one event, within its span, which ends with the commit."""
    tracer: Tracer | None = session.info.get("tracer")
    if tracer:
        trace = telemetry.unsampled(envelope.traceparent)
        if span := _begin(tracer, reaction, envelope, arrival):
            once_committed(session, span.end)
            trace = span.context
        if trace != envelope.traceparent:
            envelope = envelope.model_copy(update={"traceparent": trace})
    reaction.act(event, envelope, session)


def note_failure(
    tracer: Tracer | None,
    reaction: AnyReaction,
    envelope: CloudEvent,
    arrival: str,
    error: Exception,
) -> None:
    """Record that a reaction failed on an event: whatever it did was rolled back."""
    if tracer and (span := _begin(tracer, reaction, envelope, arrival, failed=True)):
        span.end(type(error).__name__)


def _begin(
    tracer: Tracer,
    reaction: AnyReaction,
    envelope: CloudEvent,
    arrival: str,
    *,
    failed: bool = False,
) -> Span | None:
    creation = envelope.traceparent
    parent, linked = creation, telemetry.delivery.get()
    if arrival == REPLAYED:
        parent, linked = telemetry.current.get(), creation
    operation = _processing(envelope.type, reaction.name, arrival)
    if span := tracer.enter(operation, parent, [linked], failed=failed):
        telemetry.of_event(span, envelope.id, envelope.correlationid)
    return span


@cache
def _processing(topic: str, reaction: str, arrival: str) -> bytes:
    others = {"messaging.consumer.group.name": reaction, "inbox.arrival": arrival}
    return telemetry.messaging("process", topic, SpanKind.CONSUMER, others)
