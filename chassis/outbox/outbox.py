"""The door out: an event is a row of the sender's database, written in the transaction that it tells of."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Column,
    FunctionElement,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    Uuid,
    insert,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.ext.compiler import compiles

from chassis.cloud_event import Cause, CloudEvent, digest_of, envelop
from chassis.database.unit_of_work import Utc, announce
from chassis.event import Event, Way
from chassis.runtime import clock

SIGNAL = "outbox"


class State(StrEnum):
    """Where an event is on its way to the broker; what is pulled alone never goes there."""

    PENDING = "PENDING"
    LEASED = "LEASED"
    PUBLISHED = "PUBLISHED"
    PARKED = "PARKED"
    PULLED = "PULLED"


class transaction_id(FunctionElement[int]):  # noqa: N801 - it stands where SQL's functions stand
    """The number of the transaction that writes a row; 0 on SQLite, whose one writer commits in order."""

    type = BigInteger()
    inherit_cache = True


@compiles(transaction_id)
def _nothing(*_: object, **__: object) -> str:
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
    # A position is taken before the commit, so that a later one may be seen first: with the transaction's
    # number before it, the order is one in which nothing appears behind what was read (chassis/feed.py).
    Column("transaction", BigInteger, nullable=False, server_default="0"),
    Column("event_id", String(200), nullable=False, unique=True),
    Column("topic", String(200), nullable=False),
    Column("event", Text, nullable=False),
    # None where a row from before version 0005 holds no event.
    Column("digest", LargeBinary(32)),
    Column("state", String(20), nullable=False, default=State.PENDING),
    Column("attempt", Integer, nullable=False, default=0),
    Column("refusals", Integer, nullable=False, default=0),
    Column("reason", Text),
    Column("owner", String(64)),
    Column("lease_until", Utc),
    Column("due_at", Utc),
    Column("published_at", Utc),
    Column("created_at", Utc, default=clock.now),
    sqlite_autoincrement=True,
)
_is_open = outbox.c.state.in_([State.PENDING, State.LEASED])
# Only what is still to be published: the index stays small however long the table grows.
Index(
    "outbox_open", outbox.c.position, sqlite_where=_is_open, postgresql_where=_is_open
)
Index("outbox_feed", outbox.c.transaction, outbox.c.position)

feed = Table(
    "feed",
    metadata,
    # Made with the database: a consumer that reads another one than before notices.
    Column("id", Uuid, primary_key=True),
    # Up to this place events were deleted: what is asked for after an older one would have gaps.
    Column("gone_transaction", BigInteger, nullable=False, server_default="-1"),
    Column("gone_position", BigInteger, nullable=False, server_default="-1"),
)


async def add(
    session: AsyncSession,
    event: Event,
    *,
    subject: UUID,
    cause: Cause,
    version: int = 1,
) -> None:
    """Let an event leave with this transaction, complete and final: it is published, again too, as it is now.

    `subject` is the id of what the event is about, and `version` counts what was said about it.
    """
    service = session.info["service"]
    envelope = envelop(
        event, service=service, subject=subject, cause=cause, version=version
    )
    await put(session, [(event, envelope)])


async def put(
    session: AsyncSession, letters: Sequence[tuple[Event, CloudEvent]]
) -> None:
    """Let several events leave with this transaction."""
    if letters:
        rows = [_row(event, envelope) for event, envelope in letters]
        statement = insert(outbox).values(transaction=transaction_id())
        await session.execute(statement, rows)
        announce(session, SIGNAL)


def _row(event: Event, envelope: CloudEvent) -> dict[str, Any]:
    pushed = event.way is Way.PUSHED
    return {
        "event_id": envelope.id,
        "topic": event.topic(),
        "event": envelope.model_dump_json(),
        "digest": digest_of(envelope),
        "state": State.PENDING if pushed else State.PULLED,
    }
