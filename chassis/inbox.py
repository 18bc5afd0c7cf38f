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

from pydantic import ValidationError
from sqlalchemy import Column, LargeBinary, MetaData, String, Table
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, StatementError
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import ambient
from chassis.cloud_event import CloudEvent, digest_of
from chassis.database import Database, Utc
from chassis.dead_letter import LARGEST, bury, in_one_line
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
    # Empty where it was taken in before version 0005, whose digest is another.
    Column("digest", LargeBinary(32), nullable=False),
    Column("taken_at", Utc, nullable=False),
)


class Status(StrEnum):
    """What Dapr is told of a delivery."""

    SUCCESS = "SUCCESS"
    RETRY = "RETRY"


class Unprocessable(Exception):
    """This event can never be taken in, however often it is tried."""


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
    envelope = _envelope(body) if from_feed or not malformed else None
    claims = envelope is not None and await claim(session, reaction.name, envelope)
    event_id = envelope.id if envelope else None
    await bury(session, reaction.name, body, str(error), event_id if claims else None)
    _log.error(
        "%s cannot take an event in; it is kept as a dead letter: %s",
        reaction.name,
        in_one_line(str(error)),
    )


def parse(expected: type[E], body: bytes) -> tuple[CloudEvent, E]:
    """Read an event of this kind out of its envelope; raises Unprocessable where it is none."""
    if len(body) > LARGEST:
        raise Unprocessable(f"it has {len(body)} bytes, and {LARGEST} are the most")
    try:
        envelope = CloudEvent.model_validate_json(body)
        _check_origin(expected, envelope)
        return envelope, expected.model_validate(
            envelope.data, by_alias=True, by_name=False
        )
    except ValidationError as error:
        raise Unprocessable(_in_words(error)) from error


def _check_origin(expected: type[Event], envelope: CloudEvent) -> None:
    what, where = expected.dataschema(), f"/{expected.source}"
    if (envelope.type, envelope.dataschema) != (expected.topic(), what):
        raise Unprocessable(
            f"{envelope.type!r} ({envelope.dataschema!r}) was delivered where {what} is expected"
        )
    if envelope.source != where:
        raise Unprocessable(f"it comes from {envelope.source!r}, and not from {where}")


def _envelope(body: bytes) -> CloudEvent | None:
    try:
        return CloudEvent.model_validate_json(body)
    except ValidationError:
        return None


def _in_words(error: ValidationError) -> str:
    # Without the values: a log is no place for customers' data.
    faults = (
        f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"
        for fault in error.errors()
    )
    return f"it is no {error.title} as it should be ({'; '.join(faults)})"


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
