"""The door in: an event is taken in once by each reaction, in the transaction of what the reaction does.

It comes by the broker (chassis/subscriptions.py) or is pulled from its sender (chassis/reconciler.py). What
can never be taken in is kept as a dead letter, and Dapr is told SUCCESS: an answer of 404 would make it drop
the event, and any other refusal would bring it back for ever.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
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
from sqlalchemy.exc import DataError, IntegrityError, StatementError
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.cloud_event import CloudEvent, digest_of
from chassis.database.hooks import after_rollback, spoil
from chassis.database.transient import is_about_a_value, is_away
from chassis.database.unit_of_work import Database, Utc
from chassis.errors import Rejected
from chassis.event import Event
from chassis.inbox import attempts as attempt
from chassis.inbox.dead_letter import Letter, bury, in_one_line
from chassis.inbox.parse import Unprocessable, as_it_should_be, envelope_of, parse
from chassis.runtime import clock

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

Act = Callable[[E, CloudEvent, AsyncSession], Awaitable[None]]


@dataclass(frozen=True)
class Reaction(Generic[E]):
    """What a service does on an event: `act`, known to the inbox by its function's name.

    It is given the event, the envelope that the event came in, and the session of the transaction. `correct`
    is given what the sender's feed says, where something else was taken in under its id or has its place. To
    act again changes nothing where it is `repeatable`: what it keeps has versions.
    """

    event: type[E]
    act: Act[E]
    known_as: str = ""
    correct: Act[E] | None = None
    repeatable: bool = False

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
        except Exception as error:
            if is_away(error):
                raise
            async with database.write() as session:
                await give_up(session, reaction, body, error)
    except Exception as error:  # noqa: BLE001 - the door decides: what is not kept is tried again
        trace = None if is_away(error) else error
        again = "%s failed; Dapr will deliver the event again: %s"
        _log.error(again, reaction.name, in_one_line(why(error)), exc_info=trace)
        return Status.RETRY
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
        if is_about_a_value(error):
            raise DataError(None, None, error.orig or error) from error
        raise


async def give_up(
    session: AsyncSession,
    reaction: AnyReaction,
    body: bytes,
    error: Exception,
    *,
    from_feed: bool = False,
) -> None:
    """Keep an event on which the reaction failed as a dead letter; after a bug, at the last attempt alone.

    Until then the attempt is counted, and this transaction comes to the same error at its end.

    The letter claims the event's id, so that it does not come again by the pull. An event that is not as it
    should be claims nothing where it came by the broker: anybody may have sent it, with the id of one that is
    still to come. Nor does one there whose place another has: the feed says which of them is true.
    """
    genuine = as_it_should_be(reaction.event, body)
    envelope = genuine or (envelope_of(body) if from_feed else None)
    tried = attempt.of(reaction.name, envelope.id if envelope else None, body)
    is_bug = not isinstance(error, PERMANENT)
    if is_bug and not await attempt.is_the_last(session, tried):
        after_rollback(session, partial(attempt.count, tried=tried))
        spoil(session, error)
        return
    earlier = await attempt.forget(session, tried)
    arrival = Arrival.PULLED if from_feed else Arrival.PUSHED
    if reaction.correct and not from_feed and isinstance(error, IntegrityError):
        envelope = None
    claims = envelope and await claim(session, reaction.name, envelope, arrival)
    if genuine and not claims and await is_there(session, reaction.name, genuine):
        return  # the other door has taken it in meanwhile, or has kept it
    event_id = tried.event_id if claims else None
    letter = Letter(reaction.name, body, why(error), event_id, attempts=earlier + 1)
    await bury(session, letter)


def why(error: Exception) -> str:
    """Say why an event could not be taken in; of a bug, what kind of error it is."""
    permanent = isinstance(error, PERMANENT)
    return str(error) if permanent else f"{type(error).__name__}: {error}"


async def is_there(session: AsyncSession, reaction: str, envelope: CloudEvent) -> bool:
    """Tell whether this reaction has the event, or a letter of it has its key."""
    digest = await session.scalar(
        select(inbox.c.digest).where(is_key(reaction, envelope.id))
    )
    return digest is not None and not differs(digest, digest_of(envelope))


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
    row = key(reaction, envelope, arrival)
    return (await session.execute(CLAIM.values(row))).first() is not None


def key(reaction: str, envelope: CloudEvent, arrival: Arrival) -> dict[str, object]:
    """Make the row by which a reaction has an event."""
    return {
        "reaction": reaction,
        "event_id": envelope.id,
        "digest": digest_of(envelope),
        "taken_at": clock.now(),
        "arrival": arrival,
    }


# The insert itself is the claim: to look first and insert then would let two deliveries through.
# (PostgreSQL's own statement, which SQLite takes as it is.)
CLAIM = insert(inbox).on_conflict_do_nothing().returning(inbox.c.event_id)
