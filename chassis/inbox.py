"""The door in: an event is taken in once by each reaction, in the transaction of what the reaction does.

It comes by the broker (chassis/subscriptions.py) or is pulled from its sender (chassis/reconciler.py). What
can never be taken in is kept as a dead letter, and Dapr is told SUCCESS: an answer of 404 would make it drop
the event, and any other refusal would bring it back for ever.
"""

import hashlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any, Generic, TypeVar

from sqlalchemy import Column, LargeBinary, MetaData, String, Table
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, StatementError
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import ambient, attempt
from chassis.cloud_event import CloudEvent, digest_of
from chassis.database import Database, Utc, after_rollback, spoil
from chassis.database_away import is_away
from chassis.dead_letter import Letter, bury, in_one_line
from chassis.errors import Rejected
from chassis.parsing import Unprocessable, envelope_of, parse
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
    # Empty where it was taken in before version 0005, whose digest is another.
    Column("digest", LargeBinary(32), nullable=False),
    Column("taken_at", Utc, nullable=False),
)


class Status(StrEnum):
    """What Dapr is told of a delivery."""

    SUCCESS = "SUCCESS"
    RETRY = "RETRY"


PERMANENT = (Unprocessable, Rejected, IntegrityError, DataError)
"""What will be no other at the next attempt; everything else is tried again."""

DATA_EXCEPTION = "22"
"""The class of SQLSTATE of values that do not fit where they are to go."""


@dataclass(frozen=True)
class Reaction(Generic[E]):
    """What a service does on an event: `act`, known to the inbox by its function's name.

    It is given the event, the envelope that the event came in, and the session of the transaction.
    """

    event: type[E]
    act: Callable[[E, CloudEvent, AsyncSession], Awaitable[None]]
    known_as: str = ""

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
        why = in_one_line(f"{type(error).__name__}: {error}")
        again = "%s failed; Dapr will deliver the event again: %s"
        _log.error(again, reaction.name, why, exc_info=trace)
        return Status.RETRY
    return Status.SUCCESS


async def keep(database: Database, letter: Letter) -> Status:
    """Keep as a dead letter what no reaction hears; RETRY where that fails."""
    try:
        async with database.write() as session:
            await bury(session, letter)
    except Exception:  # noqa: BLE001 - nothing is acknowledged that is not kept
        _log.exception("a dead letter of %s could not be kept", letter.reaction)
        return Status.RETRY
    return Status.SUCCESS


async def act_once(session: AsyncSession, reaction: Reaction[E], body: bytes) -> bool:
    """Claim the event and react to it; tell whether it was new. Raises what is in PERMANENT, and anything."""
    envelope, event = parse(reaction.event, body)
    if is_new := await claim(session, reaction.name, envelope):
        await react(session, reaction, envelope, event)
    return is_new


async def react(
    session: AsyncSession, reaction: Reaction[E], envelope: CloudEvent, event: E
) -> None:
    """Let the reaction act, and hear what the database says; raises what is in PERMANENT, and anything."""
    try:
        await reaction.act(event, envelope, session)
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
    still to come.
    """
    genuine = _as_it_should_be(reaction, body)
    envelope = genuine or (envelope_of(body) if from_feed else None)
    tried = attempt.Tried(
        reaction.name, envelope.id if envelope else hashlib.sha256(body).hexdigest()
    )
    permanent = isinstance(error, PERMANENT)
    if not permanent and not await attempt.is_the_last(session, tried):
        after_rollback(session, partial(attempt.count, tried=tried))
        spoil(session, error)
        return
    earlier = await attempt.forget(session, tried)
    claims = envelope is not None and await claim(session, reaction.name, envelope)
    if genuine and not claims:
        return  # the other door has taken it in meanwhile, or has kept it
    reason = str(error) if permanent else f"{type(error).__name__}: {error}"
    event_id = tried.event_id if claims else None
    letter = Letter(reaction.name, body, reason, event_id, attempts=earlier + 1)
    await bury(session, letter)


def _as_it_should_be(reaction: AnyReaction, body: bytes) -> CloudEvent | None:
    try:
        return parse(reaction.event, body)[0]
    except Exception:  # noqa: BLE001 - not as it should be, or a bug of who reads it: nothing is known of it
        return None


async def claim(session: AsyncSession, reaction: str, envelope: CloudEvent) -> bool:
    """Write down that this reaction has the event; False where it had it before."""
    row = {
        "reaction": reaction,
        "event_id": envelope.id,
        "digest": digest_of(envelope),
        "taken_at": ambient.now(),
    }
    # The insert itself is the claim: to look first and insert then would let two deliveries through.
    # (PostgreSQL's own statement, which SQLite takes as it is.)
    claimed = (
        insert(inbox).values(row).on_conflict_do_nothing().returning(inbox.c.event_id)
    )
    return (await session.execute(claimed)).first() is not None
