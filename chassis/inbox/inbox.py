"""The inbox (idempotent consumer): each reaction handles an event once, in the reaction's own transaction.

An event arrives through the broker (subscriptions.py) or is pulled from its sender's feed (chassis/reconciler).
What can never be handled becomes a dead letter, and Dapr hears SUCCESS: it would drop an event that is answered
404, and deliver one that is refused otherwise for ever.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from sqlalchemy import update
from sqlalchemy.exc import DataError, IntegrityError, StatementError
from sqlalchemy.orm import Session

from chassis.cloud_event import CloudEvent
from chassis.database import Database, insert, is_data_error, is_unavailable
from chassis.errors import Rejected
from chassis.event import Event
from chassis.inbox import attempts
from chassis.inbox.dead_letter import DeadLetter, one_line, store
from chassis.inbox.parse import (
    NotAuthentic,
    Unprocessable,
    authenticate,
    check_age,
    parse,
)
from chassis.inbox.reaction import Act, AnyReaction, Arrival, Reaction, inbox, is_key
from chassis.runtime import clock
from chassis.signature import SigningKeys

_log = logging.getLogger(__name__)
E = TypeVar("E", bound=Event)

PERMANENT = (Unprocessable, Rejected, IntegrityError, DataError)
"""What the next attempt would not change; everything else is retried."""


class Status(StrEnum):
    """The answer to a delivery."""

    SUCCESS = "SUCCESS"
    RETRY = "RETRY"


@dataclass(frozen=True)
class Inbox:
    """Handles deliveries on this service's database; `keys` verify their signatures."""

    database: Database
    keys: SigningKeys

    def parse(self, reaction: Reaction[E], body: bytes) -> tuple[CloudEvent, E]:
        """Return the envelope and the event of a delivery; raises NotAuthentic, Unprocessable."""
        return parse(reaction.event, body, self.keys)

    async def handle(
        self,
        reaction: AnyReaction,
        body: bytes,
        arrival: Arrival = Arrival.PUSHED,
    ) -> Status:
        """Handle one delivery at most once; RETRY where a later attempt may succeed.

        What is not authentic becomes a dead letter where it was pushed: the pull brings the authentic event.
        Where it was pulled, the feed itself is wrong: raises NotAuthentic.
        """
        try:
            envelope, event = self.parse(reaction, body)
            if arrival is Arrival.PUSHED:
                check_age(envelope)
            await self.database.write(
                lambda session: handle_once(
                    session, reaction, envelope, event, arrival
                ),
                lane=f"deliveries to {reaction.name}",
            )
        except NotAuthentic as error:
            if arrival is not Arrival.PUSHED:
                raise
            letter = DeadLetter(reaction.name, body, str(error), authentic=False)
            return await keep(self.database, letter)
        except Exception as error:  # noqa: BLE001 - one rule decides what an error means
            return await self._failed(reaction, body, arrival, error)
        return Status.SUCCESS

    async def _failed(
        self, reaction: AnyReaction, body: bytes, arrival: Arrival, error: Exception
    ) -> Status:
        kept = False
        try:
            if not is_unavailable(error):
                envelope = authenticate(body, self.keys)
                failed = Failed(reaction.name, body, envelope.id, error)
                kept = await self.database.write(
                    lambda session: record_failure(session, failed, arrival)
                )
        except Exception as worse:  # noqa: BLE001 - nothing is acknowledged that is not stored
            error = worse
        if kept:
            return Status.SUCCESS
        trace = None if is_unavailable(error) else error
        text = "%s failed; the event will be retried: %s"
        _log.error(text, reaction.name, one_line(describe(error)), exc_info=trace)
        return Status.RETRY


def handle_once(
    session: Session,
    reaction: AnyReaction,
    envelope: CloudEvent,
    event: Event,
    arrival: Arrival,
) -> bool:
    """Claim an event and act on it; return whether it was new. Raises what is in PERMANENT, and anything."""
    if claim(session, reaction.name, [envelope], arrival):
        react(session, reaction.act, envelope, event)
        return True
    if arrival is Arrival.PUSHED:
        pulled = is_key(reaction.name, envelope.id), inbox.c.arrival == Arrival.PULLED
        session.execute(update(inbox).where(*pulled).values(arrival=Arrival.LATE))
    return False


def handle_all(
    session: Session,
    reaction: AnyReaction,
    parsed: Sequence[tuple[CloudEvent, Any]],
    arrival: Arrival,
) -> list[str]:
    """Claim many events at once and act on those that are new, in order; return their ids."""
    unseen = claim(
        session, reaction.name, [envelope for envelope, _ in parsed], arrival
    )
    new = []
    for envelope, event in parsed:
        if envelope.id in unseen:
            unseen.remove(envelope.id)  # listed twice, it is acted on once
            react(session, reaction.act, envelope, event, flush=False)
            new.append(envelope.id)
    session.flush()
    return new


def react(
    session: Session,
    act: Act[E],
    envelope: CloudEvent,
    event: E,
    *,
    flush: bool = True,
) -> None:
    """Run a reaction, and surface what the database says of it as what is in PERMANENT."""
    try:
        act(event, envelope, session)
        if flush:
            session.flush()
    except StatementError as error:
        if is_data_error(error):
            raise DataError(None, None, error.orig or error) from error
        raise


def claim(
    session: Session,
    reaction: str,
    envelopes: Sequence[CloudEvent],
    arrival: Arrival,
) -> set[str]:
    """Insert the keys of these events; return the ids that this reaction did not have.

    The insert itself is the claim: a look before it would let two deliveries through. In the order of their
    ids, so that two pages do not deadlock; grouped deliveries may, and are run again.
    """
    now = clock.now()
    ids = sorted({envelope.id for envelope in envelopes})
    rows = [
        {"reaction": reaction, "event_id": each, "handled_at": now, "arrival": arrival}
        for each in ids
    ]
    if not rows:
        return set()
    statement = insert(inbox).on_conflict_do_nothing().returning(inbox.c.event_id)
    return set(session.scalars(statement, rows))


@dataclass(frozen=True)
class Failed:
    """One failed attempt of a reaction at an authentic event."""

    reaction: str
    body: bytes
    event_id: str
    error: Exception


def record_failure(session: Session, failed: Failed, arrival: Arrival) -> bool:
    """Dead-letter a failed event: at once if that is permanent, else after MAX_ATTEMPTS; return whether it is.

    Until then the attempt is counted. The letter claims the event's key, so that neither the broker nor the
    pull brings it again; where the key is taken, the event was handled meanwhile.
    """
    tries = attempts.count(session, failed.reaction, failed.event_id)
    permanent = isinstance(failed.error, PERMANENT)
    if not permanent and tries < attempts.MAX_ATTEMPTS:
        return False
    attempts.forget(session, failed.reaction, failed.event_id)
    row = {
        "reaction": failed.reaction,
        "event_id": failed.event_id,
        "handled_at": clock.now(),
        "arrival": arrival,
    }
    taken = insert(inbox).values(row).on_conflict_do_nothing()
    if session.scalar(taken.returning(inbox.c.event_id)) is not None:
        reason = describe(failed.error)
        letter = DeadLetter(
            failed.reaction, failed.body, reason, failed.event_id, attempts=tries
        )
        store(session, letter)
    return True


def describe(error: Exception) -> str:
    """Return the reason of a failure; of a bug, with the kind of the error."""
    permanent = isinstance(error, (*PERMANENT, NotAuthentic))
    return str(error) if permanent else f"{type(error).__name__}: {error}"


async def keep(database: Database, letter: DeadLetter) -> Status:
    """Store a dead letter; RETRY where that fails."""
    try:
        await database.write(lambda session: store(session, letter))
    except Exception:  # noqa: BLE001 - nothing is acknowledged that is not stored
        _log.exception("a dead letter of %s could not be stored", letter.reaction)
        return Status.RETRY
    return Status.SUCCESS
