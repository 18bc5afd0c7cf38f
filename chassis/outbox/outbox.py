"""The transactional outbox: an event is a row of the sender's database, written with the state it is about."""

from enum import StrEnum
from typing import Any
from uuid import UUID

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
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session

from chassis.cloud_event import Cause, create_cloud_event
from chassis.database import Utc, add, wake
from chassis.errors import Rejected
from chassis.event import Delivery, Event, to_json
from chassis.runtime import clock

SIGNAL = "outbox"

MAX_EVENT_BYTES = 64 * 1024
"""The largest CloudEvent, in bytes at its largest on the way: consumers accept no more."""


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
    # AUTOINCREMENT: a position is never given twice, even where the newest rows were deleted.
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
Index("outbox_feed", outbox.c.transaction, outbox.c.position)
Index("outbox_created_at", outbox.c.created_at)

feed = Table(
    "feed",
    metadata,
    # Created with the database: a consumer that read another one before notices.
    Column("id", Uuid, primary_key=True),
    Column("service", String(200), nullable=False),
    # Retention removed events up to this place: a query from an older one would have gaps.
    Column("removed_transaction", BigInteger, nullable=False, server_default="-1"),
    Column("removed_position", BigInteger, nullable=False, server_default="-1"),
)


def append(
    session: Session, event: Event, *, subject: UUID, cause: Cause, version: int = 1
) -> None:
    """Append an event to the outbox in this transaction; raises EventTooLarge.

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
    add(session, outbox, row(event, envelope))
    if event.delivery is Delivery.PUSH_AND_PULL:
        wake(session, SIGNAL)


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
    }
