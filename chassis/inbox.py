"""The door in: an event is taken in once by each reaction, in the transaction of what the reaction does.

It comes by the broker (chassis/subscriptions.py) or is pulled from its sender (chassis/reconciler.py). What
can never be taken in is kept as a dead letter, and Dapr is told SUCCESS: an answer of 404 would make it drop
the event, and any other refusal would bring it back for ever.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar

from sqlalchemy import (
    Column,
    ColumnElement,
    LargeBinary,
    MetaData,
    String,
    Table,
    and_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, StatementError
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import ambient
from chassis.cloud_event import CloudEvent, digest_of
from chassis.database import Database, Utc
from chassis.dead_letter import bury, in_one_line
from chassis.delivered import Unprocessable, envelope_of, parse
from chassis.errors import Rejected
from contracts.event import Event

_log = logging.getLogger(__name__)
E = TypeVar("E", bound=Event)


class Arrival(StrEnum):
    """How an event came in: what was PULLED and has not become LATE since, the broker has lost."""

    PUSHED = "PUSHED"
    PULLED = "PULLED"
    LATE = "LATE"
    CORRECTED = "CORRECTED"


metadata = MetaData()
inbox = Table(
    "inbox",
    metadata,
    # A reaction's name is data: under another name it would take every event in again.
    Column("reaction", String(200), primary_key=True),
    Column("event_id", String(200), primary_key=True),
    # Empty where it was taken in before version 0005, whose digest is another.
    Column("digest", LargeBinary(32), nullable=False),
    Column("taken_at", Utc, nullable=False),
    Column("arrival", String(20), nullable=False, server_default=Arrival.PUSHED),
)


class Status(StrEnum):
    """What Dapr is told of a delivery."""

    SUCCESS = "SUCCESS"
    RETRY = "RETRY"


PERMANENT = (Unprocessable, Rejected, IntegrityError, DataError)
"""What will be no other at the next attempt; everything else is tried again."""

DATA_EXCEPTION = "22"
"""The class of SQLSTATE of values that do not fit where they are to go."""


Act = Callable[[E, CloudEvent, AsyncSession], Awaitable[None]]


@dataclass(frozen=True)
class Reaction(Generic[E]):
    """What a service does on an event: `act`, known to the inbox by its function's name.

    It is given the event, the envelope that the event came in, and the session of the transaction. `correct`
    is given what the sender's feed says, where something else had been taken in under the event's id.
    """

    event: type[E]
    act: Act[E]
    known_as: str = ""
    correct: Act[E] | None = None

    @property
    def name(self) -> str:
        """The name under which the inbox remembers what this reaction has taken in."""
        return self.known_as or self.act.__name__


AnyReaction = Reaction[Any]


async def take_in(database: Database, reaction: Reaction[E], body: bytes) -> Status:
    """Take a delivered CloudEvent in, at most once; RETRY where that may succeed later."""
    try:
        try:
            async with database.write() as session:
                await act_once(session, reaction, body)
        except PERMANENT as error:
            async with database.write() as session:
                await refuse(session, reaction, body, error)
    except Exception:  # noqa: BLE001 - the door decides: what is not known to be permanent is tried again
        _log.exception("%s failed; Dapr will deliver the event again", reaction.name)
        return Status.RETRY
    return Status.SUCCESS


async def keep(database: Database, where: str, body: bytes, reason: str) -> Status:
    """Keep as a dead letter what no reaction hears; RETRY where that fails."""
    try:
        async with database.write() as session:
            await bury(session, where, body, reason)
    except Exception:  # noqa: BLE001 - nothing is acknowledged that is not kept
        _log.exception("a dead letter of %s could not be kept", where)
        return Status.RETRY
    _log.error("%s: a dead letter is kept: %s", where, in_one_line(reason))
    return Status.SUCCESS


async def act_once(session: AsyncSession, reaction: Reaction[E], body: bytes) -> bool:
    """Claim the event and react to it; tell whether it was new. Raises what is in PERMANENT, and anything."""
    envelope, event = parse(reaction.event, body)
    if is_new := await claim(session, reaction.name, envelope):
        await react(session, reaction.act, envelope, event)
    else:
        await _note_that_it_came_again(session, reaction.name, envelope)
    return is_new


async def _note_that_it_came_again(
    session: AsyncSession, reaction: str, envelope: CloudEvent
) -> None:
    mine = is_key(reaction, envelope.id)
    known = select(inbox.c.digest, inbox.c.arrival).where(mine)
    there = (await session.execute(known)).one()
    if differs(there.digest, digest_of(envelope)):
        _log.error(
            "%s: what came under the id %s says something else than what was taken in; it is left",
            reaction,
            in_one_line(envelope.id),
        )
    elif there.arrival == Arrival.PULLED:
        await session.execute(update(inbox).where(mine).values(arrival=Arrival.LATE))


async def react(
    session: AsyncSession, act: Act[E], envelope: CloudEvent, event: E
) -> None:
    """Let a reaction act, and hear what the database says; raises what is in PERMANENT, and anything."""
    try:
        await act(event, envelope, session)
        await session.flush()
    except StatementError as error:
        if _is_about_a_value(error):
            raise DataError(None, None, error.orig or error) from error
        raise


def _is_about_a_value(error: StatementError) -> bool:
    # What PostgreSQL says of values that it cannot keep, SQLAlchemy does not call a DataError; and some
    # cannot even be sent. Of every database the same event says the same again.
    if isinstance(error, DBAPIError):
        state = str(getattr(error.orig, "sqlstate", ""))
        return state.startswith(DATA_EXCEPTION)
    return isinstance(error.orig, ArithmeticError | ValueError)


async def refuse(
    session: AsyncSession,
    reaction: AnyReaction,
    body: bytes,
    error: Exception,
    *,
    from_feed: bool = False,
) -> None:
    """Keep what the reaction cannot take in, and claim its id, so that it does not come again by the pull.

    An event that is not as it should be claims nothing where it came by the broker: anybody may have sent
    it, with the id of one that is still to come.
    """
    malformed = isinstance(error, Unprocessable)
    envelope = envelope_of(body) if from_feed or not malformed else None
    arrival = Arrival.PULLED if from_feed else Arrival.PUSHED
    claims = envelope is not None and await claim(
        session, reaction.name, envelope, arrival
    )
    event_id = envelope.id if envelope else None
    await bury(session, reaction.name, body, str(error), event_id if claims else None)
    _log.error(
        "%s cannot take an event in; it is kept as a dead letter: %s",
        reaction.name,
        in_one_line(str(error)),
    )


def is_key(reaction: str, event_id: str) -> ColumnElement[bool]:
    """Match what one reaction has of one event."""
    return and_(inbox.c.reaction == reaction, inbox.c.event_id == event_id)


def differs(one: bytes, other: bytes) -> bool:
    """Tell whether two digests are of different events; one that is not known is empty."""
    return bool(one and other) and one != other


async def claim(
    session: AsyncSession,
    reaction: str,
    envelope: CloudEvent,
    arrival: Arrival = Arrival.PUSHED,
) -> bool:
    """Write down that this reaction has the event; False where it had it before."""
    row = {
        "reaction": reaction,
        "event_id": envelope.id,
        "digest": digest_of(envelope),
        "taken_at": ambient.now(),
        "arrival": arrival,
    }
    # The insert itself is the claim: to look first and insert then would let two deliveries through.
    # (PostgreSQL's own statement, which SQLite takes as it is.)
    claimed = (
        insert(inbox).values(row).on_conflict_do_nothing().returning(inbox.c.event_id)
    )
    return (await session.execute(claimed)).first() is not None
