"""The door out: an event is a row of the sender's database, written in the transaction that it tells of."""

from enum import StrEnum
from uuid import UUID

from sqlalchemy import Column, Index, Integer, MetaData, String, Table, Text, insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.cloud_event import envelop
from chassis.database import Utc, announce
from contracts.event import Event

SIGNAL = "outbox"


class State(StrEnum):
    """Where an event is on its way to the broker."""

    PENDING = "PENDING"
    LEASED = "LEASED"
    PUBLISHED = "PUBLISHED"
    PARKED = "PARKED"


metadata = MetaData()
outbox = Table(
    "outbox",
    metadata,
    # AUTOINCREMENT: a position is never given twice, even where the newest rows were deleted.
    Column("position", Integer, primary_key=True),
    Column("event_id", String(200), nullable=False, unique=True),
    Column("topic", String(200), nullable=False),
    Column("event", Text, nullable=False),
    Column("state", String(20), nullable=False, default=State.PENDING),
    Column("attempt", Integer, nullable=False, default=0),
    Column("refusals", Integer, nullable=False, default=0),
    Column("reason", Text),
    Column("owner", String(64)),
    Column("lease_until", Utc),
    Column("due_at", Utc),
    Column("published_at", Utc),
    sqlite_autoincrement=True,
)
# Only what is still to be published: the index stays small however long the table grows.
Index(
    "outbox_open",
    outbox.c.position,
    sqlite_where=outbox.c.state.in_([State.PENDING, State.LEASED]),
)


async def add(
    session: AsyncSession, event: Event, *, subject: UUID, cause: str
) -> None:
    """Let an event leave with this transaction, complete and final: it is published, again too, as it is now.

    `subject` is the id of what the event is about, `cause` the W3C trace context of what led to it.
    """
    envelope = envelop(
        event, service=session.info["service"], subject=subject, cause=cause
    )
    row = {
        "event_id": envelope.id,
        "topic": event.topic(),
        "event": envelope.model_dump_json(),
    }
    await session.execute(insert(outbox).values(row))
    announce(session, SIGNAL)
