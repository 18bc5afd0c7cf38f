"""The transactional outbox: an event is a row of the sender's database, written with the state it is about."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from functools import cache, partial
from typing import Any, NamedTuple
from uuid import UUID

from opentelemetry.trace import SpanKind
from sqlalchemy import (
    BigInteger,
    BindParameter,
    Column,
    FunctionElement,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    Uuid,
    bindparam,
    literal,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session

from chassis.cloud_event import Cause, create_cloud_event
from chassis.database import Utc, add, once_committed, wake
from chassis.errors import Rejected
from chassis.event import Delivery, Event, to_json
from chassis.runtime import clock, metrics, telemetry
from chassis.runtime.telemetry import Tracer

SIGNAL = "outbox"

MAX_EVENT_BYTES = 64 * 1024
"""The largest CloudEvent, in the bytes that it may grow to on the way (`row`): consumers accept no more."""

LEASE = timedelta(seconds=30)
"""How long a lease holds: well above the deadline of a call to the sidecar."""
MOST_QUEUED = 200
"""Leased events that wait in memory; past so many, further ones wait in the table."""


class EventTooLarge(Rejected):
    """The event is too large to travel; nothing was changed."""

    status = 413


class State(StrEnum):
    """Where an event is on its way to the broker; what is only pulled never goes there."""

    PENDING = "PENDING"
    LEASED = "LEASED"
    PUBLISHED = "PUBLISHED"
    PARKED = "PARKED"
    PULL_ONLY = "PULL_ONLY"


class transaction_id(FunctionElement[int]):  # noqa: N801 - it stands where SQL's functions stand
    """The number of the transaction that writes a row; 0 on SQLite, whose one writer commits in order."""

    type = BigInteger()
    inherit_cache = True


@compiles(transaction_id)
def _zero(*_: object, **__: object) -> str:
    return "0"


@compiles(transaction_id, "postgresql")
def _current(*_: object, **__: object) -> str:
    return "pg_current_xact_id()::text::bigint"


metadata = MetaData()
outbox = Table(
    "outbox",
    metadata,
    # AUTOINCREMENT: no position is used twice, even where the newest rows were deleted.
    Column("position", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    # A position is taken before the commit, so that a later one may be visible first: ordered by the
    # transaction's number before it, nothing becomes visible behind a consumer's cursor (chassis/feed).
    Column(
        "transaction",
        BigInteger,
        nullable=False,
        default=transaction_id(),
        server_default="0",
    ),
    Column("event_id", String(200), nullable=False, unique=True),
    Column("topic", String(200), nullable=False),
    Column("event", Text, nullable=False),
    # Bytes of `event` in UTF-8: batches and pages are bounded by them.
    Column("size", Integer, nullable=False),
    Column("state", String(20), nullable=False, default=State.PENDING),
    Column("attempt", Integer, nullable=False, default=0),
    Column("refusals", Integer, nullable=False, default=0),
    Column("reason", Text),
    Column("owner", String(64)),
    Column("lease_until", Utc),
    Column("due_at", Utc),
    Column("published_at", Utc),
    Column("created_at", Utc, nullable=False, default=clock.now),
    sqlite_autoincrement=True,
)
# Written out in every statement: a database that does not know the values cannot choose the partial index.
_open_states: BindParameter[list[State]] = bindparam(
    "open_states", [State.PENDING, State.LEASED], expanding=True, literal_execute=True
)
is_open = outbox.c.state.in_(_open_states)
_indexed = outbox.c.state.in_([State.PENDING, State.LEASED])
# Only what is still to be published: the index stays small however long the table grows.
Index(
    "outbox_open", outbox.c.position, sqlite_where=_indexed, postgresql_where=_indexed
)
# Few are, and each waits for somebody.
IS_PARKED = outbox.c.state == literal(State.PARKED, literal_execute=True)
Index(
    "outbox_parked",
    outbox.c.position,
    sqlite_where=IS_PARKED,
    postgresql_where=IS_PARKED,
)
Index("outbox_feed", outbox.c.transaction, outbox.c.position)
Index("outbox_created_at", outbox.c.created_at)

feed = Table(
    "feed",
    metadata,
    # Created with the database: a consumer that read another one before notices.
    Column("id", Uuid, primary_key=True),
    Column("service", String(200), nullable=False),
    # Retention removed events up to this offset: a page after an older one would have gaps.
    Column("removed_transaction", BigInteger, nullable=False, server_default="-1"),
    Column("removed_position", BigInteger, nullable=False, server_default="-1"),
)


class Leased(NamedTuple):
    """An event that is published by its owner alone until the lease ends."""

    event_id: str
    topic: str
    event: str
    size: int
    owner: str
    attempt: int = 1
    refusals: int = 0
    reason: str | None = None


@dataclass
class RelayQueue:
    """Events that this process has leased and not begun to publish, in memory.

    While it is open, an event is stored leased already, and comes here by its commit: the relay need not look for
    it. The relay opens it when the table holds nothing more, and closes it when it meets trouble or stops.
    """

    owner: str
    is_open: bool = False
    # By event id: an event that is leased again replaces its entry, under whose old lease nobody could mark it.
    events: dict[str, Leased] = field(default_factory=dict)

    def lease(self, session: Session, row: dict[str, Any]) -> None:
        """Lease a row that is about to be stored, and queue its event once it is committed."""
        until = clock.now() + LEASE
        row.update(state=State.LEASED, owner=self.owner, lease_until=until, attempt=1)
        text, size = row["event"], row["size"]
        event = Leased(row["event_id"], row["topic"], text, size, self.owner)
        wake(session, SIGNAL, partial(self.add, [event]))

    def add(self, events: Sequence[Leased]) -> None:
        """Queue events; with enough of them, it closes."""
        self.events |= {each.event_id: each for each in events}
        self.is_open = self.is_open and len(self.events) < MOST_QUEUED

    def take(self, most: int) -> list[Leased]:
        """Return the oldest events, which wait here no longer."""
        return [self.events.pop(each) for each in list(self.events)[:most]]


def append(
    session: Session, event: Event, *, subject: UUID, cause: Cause, version: int = 1
) -> str:
    """Append an event to the outbox in this transaction and return its id; raises EventTooLarge.

    The stored CloudEvent is signed and immutable: retries publish the same bytes. `subject` is the id of what
    the event is about, and `version` counts the events about it.
    """
    envelope = create_cloud_event(
        event,
        service=session.info["service"],
        subject=subject,
        cause=cause,
        version=version,
        keys=session.info["keys"],
    )
    if tracer := session.info.get("tracer"):
        trace_creation(session, tracer, envelope)
    stored = row(event, envelope)
    if event.delivery is Delivery.PUSH_AND_PULL:
        queue: RelayQueue | None = session.info.get("relay")
        if queue and queue.is_open:
            queue.lease(session, stored)
        else:
            wake(session, SIGNAL)
    once_committed(session, metrics.of(metrics.APPENDED, stored["topic"]).inc)
    add(session, outbox, stored)
    return str(stored["event_id"])


def trace_creation(session: Session, tracer: Tracer, envelope: dict[str, Any]) -> None:
    """Make the event's creation its trace context, and record that span with the commit."""
    # The signature leaves the trace out.
    topic, cause = envelope["type"], envelope["traceparent"]
    if span := tracer.child(_creation(topic), cause):
        telemetry.of_event(span, envelope["id"], envelope["correlationid"])
        envelope["traceid"] = envelope["traceparent"] = span.context
        once_committed(session, span.end)


@cache
def _creation(topic: str) -> bytes:
    return telemetry.messaging("create", topic, SpanKind.PRODUCER)


def row(event: Event, envelope: dict[str, Any]) -> dict[str, Any]:
    """Return the row of an event that is in this envelope; raises EventTooLarge."""
    content = to_json(envelope)
    text = content.decode()
    # At its largest on the way: Go may escape each of these characters to six bytes.
    of_one_byte = len(content) - len(content.translate(None, b"<>&"))
    of_three = text.count("\u2028") + text.count("\u2029")
    size = len(content) + 5 * of_one_byte + 3 * of_three
    if size > MAX_EVENT_BYTES:
        raise EventTooLarge(
            f"{event.topic()} has {size} bytes; {MAX_EVENT_BYTES} are the most."
        )
    pushed = event.delivery is Delivery.PUSH_AND_PULL
    return {
        "event_id": envelope["id"],
        "topic": event.topic(),
        "event": text,
        "size": size,
        "state": State.PENDING if pushed else State.PULL_ONLY,
        "owner": None,
        "lease_until": None,
        "attempt": 0,
    }
