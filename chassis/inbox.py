"""The door in: an event is taken in once by each reaction, in the transaction of what the reaction does.

What can never be taken in is kept as a dead letter, raw and with its reason, and Dapr is told SUCCESS: an
answer of 404 would make it drop the event, and any other refusal would bring it back for ever.
"""

import hashlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Generic, TypeVar

from pydantic import ValidationError
from sqlalchemy import (
    Column,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    insert,
)
from sqlalchemy.dialects.sqlite import insert as insert_or_nothing
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.cloud_event import CloudEvent
from chassis.database import Database, Utc
from chassis.errors import Rejected
from contracts.event import Event

_log = logging.getLogger(__name__)
E = TypeVar("E", bound=Event)

metadata = MetaData()
inbox = Table(
    "inbox",
    metadata,
    # A reaction's name is data: under another name it would take every event in again.
    Column("reaction", String(200), primary_key=True),
    Column("event_id", String(200), primary_key=True),
    Column("digest", LargeBinary(32), nullable=False),
    Column("taken_at", Utc, nullable=False),
)
dead_letter = Table(
    "dead_letter",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("reaction", String(200), nullable=False),
    Column("reason", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("received_at", Utc, nullable=False),
    sqlite_autoincrement=True,
)


class Status(StrEnum):
    """What Dapr is told of a delivery."""

    SUCCESS = "SUCCESS"
    RETRY = "RETRY"


class Unprocessable(Exception):
    """This event can never be taken in, however often it is tried."""


@dataclass(frozen=True)
class Reaction(Generic[E]):
    """What a service does on an event: `act`, known to the inbox by its function's name."""

    event: type[E]
    act: Callable[[E, AsyncSession], Awaitable[None]]

    @property
    def name(self) -> str:
        """The name under which the inbox remembers what this reaction has taken in."""
        return self.act.__name__


async def take_in(database: Database, reaction: Reaction[E], body: bytes) -> Status:
    """Take a delivered CloudEvent in, at most once; RETRY where that may succeed later."""
    try:
        await _act_once(database, reaction, body)
    except (Unprocessable, Rejected, IntegrityError, DataError) as error:
        return await _bury(database, reaction.name, body, error)
    except Exception:  # noqa: BLE001 - the door decides: what is not known to be permanent is tried again
        _log.exception("%s failed; Dapr will deliver the event again", reaction.name)
        return Status.RETRY
    return Status.SUCCESS


async def _act_once(database: Database, reaction: Reaction[E], body: bytes) -> None:
    envelope, event = _parse(reaction.event, body)
    async with database.write() as session:
        if await _claim(session, reaction.name, envelope):
            await reaction.act(event, session)


def _parse(expected: type[E], body: bytes) -> tuple[CloudEvent, E]:
    try:
        envelope = CloudEvent.model_validate_json(body)
        if (envelope.type, envelope.dataschema) != (
            expected.topic(),
            expected.dataschema(),
        ):
            raise Unprocessable(
                f"{envelope.dataschema} was delivered where {expected.dataschema()} is expected"
            )
        return envelope, expected.model_validate(
            envelope.data, by_alias=True, by_name=False
        )
    except ValidationError as error:
        raise Unprocessable(_in_words(error)) from error


def _in_words(error: ValidationError) -> str:
    # Without the values: a log is no place for customers' data.
    faults = (
        f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"
        for fault in error.errors()
    )
    return f"it is no {error.title} as it should be ({'; '.join(faults)})"


async def _claim(session: AsyncSession, reaction: str, envelope: CloudEvent) -> bool:
    row = {
        "reaction": reaction,
        "event_id": envelope.id,
        "digest": hashlib.sha256(envelope.model_dump_json().encode()).digest(),
        "taken_at": datetime.now(UTC),
    }
    # The insert itself is the claim: to look first and insert then would let two deliveries through.
    claimed = (
        insert_or_nothing(inbox)
        .values(row)
        .on_conflict_do_nothing()
        .returning(inbox.c.event_id)
    )
    return (await session.execute(claimed)).first() is not None


async def _bury(
    database: Database, reaction: str, body: bytes, error: Exception
) -> Status:
    row = {
        "reaction": reaction,
        "reason": str(error),
        "body": body,
        "received_at": datetime.now(UTC),
    }
    try:
        async with database.write() as session:
            await session.execute(insert(dead_letter).values(row))
    except Exception:  # noqa: BLE001 - nothing is acknowledged that is not kept
        _log.exception(
            "%s could not keep a dead letter; Dapr will deliver the event again",
            reaction,
        )
        return Status.RETRY
    _log.error(
        "%s cannot take an event in; it is kept as a dead letter: %s", reaction, error
    )
    return Status.SUCCESS
