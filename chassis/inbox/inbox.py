"""The inbox (idempotent consumer): each reaction handles an event once, in the reaction's own transaction.

An event arrives through the broker (subscriptions.py) or is pulled from its sender's feed (chassis/reconciler).
What can never be handled becomes a dead letter and is answered SUCCESS: Dapr would drop an event that is answered
404, and would deliver one that is refused otherwise for ever.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from sqlalchemy import bindparam, true, update
from sqlalchemy.exc import DataError, IntegrityError, StatementError
from sqlalchemy.orm import Session

from chassis.cloud_event import CloudEvent, Keys
from chassis.database import (
    Database,
    describe_refusal,
    insert,
    is_data_error,
    is_unavailable,
)
from chassis.errors import Rejected
from chassis.event import Event
from chassis.inbox import attempts
from chassis.inbox.arrivals import Arrivals
from chassis.inbox.dead_letter import DeadLetter, one_line, store
from chassis.inbox.parse import (
    NotAuthentic,
    Received,
    Unprocessable,
    authenticate,
    check_age,
    parse,
)
from chassis.inbox.reaction import IDS, AnyReaction, Arrival, Reaction, inbox
from chassis.inbox.tracing import act, note_failure
from chassis.runtime import clock, logs, metrics

_log = logging.getLogger(__name__)
E = TypeVar("E", bound=Event)

_OF_ALL = ("reaction", "handled_at", "arrival")
_values = [bindparam(name, type_=inbox.c[name].type) for name in _OF_ALL]
# With a WHERE, SQLite does not take the ON CONFLICT for that of a join.
_keys = IDS.add_columns(*_values).where(true())
_insert = insert(inbox).from_select(("event_id", *_OF_ALL), _keys)
_CLAIM = _insert.on_conflict_do_nothing().returning(inbox.c.event_id)

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
    keys: Keys
    arrivals: Arrivals = field(default_factory=Arrivals)

    def parse(self, reaction: Reaction[E], received: Received) -> tuple[CloudEvent, E]:
        """Return the envelope and the event of a delivery; raises NotAuthentic, Unprocessable."""
        return parse(reaction.event, received, self.keys)

    async def handle_together(
        self,
        reaction: AnyReaction,
        events: Sequence[Received],
        arrival: Arrival,
        first: Callable[[Session], None] | None = None,
    ) -> list[str]:
        """Handle events in one transaction, which begins with `first`; return the ids of those that were new.

        Raises whatever one of them raises, and has handled none then.
        """
        parsed = [self.parse(reaction, each) for each in events]
        if arrival is Arrival.PUSHED:
            for envelope, _ in parsed:
                check_age(envelope)

        def work(session: Session) -> list[str]:
            if first:
                first(session)
            return act_on_new(session, reaction, parsed, arrival)

        # Pushed events share their transaction with others that wait, what is pulled has the cursor's.
        lane = f"deliveries to {reaction.name}" if arrival is Arrival.PUSHED else ""
        names = reaction.event.topic(), reaction.name
        with metrics.timed(metrics.HANDLING, *names):
            new = await self.database.write(work, lane)
        metrics.of(metrics.HANDLED, *names, arrival).inc(len(new))
        metrics.of(metrics.DUPLICATES, reaction.name).inc(len(parsed) - len(new))
        return new

    async def deliver(
        self, reaction: AnyReaction, events: Sequence[Received]
    ) -> list[Status]:
        """Handle pushed events in one transaction, and where that fails each by itself; return their statuses."""
        if len(events) > 1:
            try:
                await self.handle_together(reaction, events, Arrival.PUSHED)
            except Exception as error:  # noqa: BLE001 - each event says by itself what it means
                if is_unavailable(error):
                    _log_retry(reaction, error, {})
                    return [Status.RETRY] * len(events)
            else:
                return [Status.SUCCESS] * len(events)
        alone = (self.handle(reaction, each) for each in events)
        return await asyncio.gather(*alone)

    async def handle(
        self,
        reaction: AnyReaction,
        received: Received,
        arrival: Arrival = Arrival.PUSHED,
    ) -> Status:
        """Handle one event at most once; RETRY where a later attempt may succeed.

        What is not authentic becomes a dead letter where it was pushed: the pull brings the authentic event.
        Where it was pulled, the feed itself is wrong: raises NotAuthentic.
        """
        try:
            await self.handle_together(reaction, [received], arrival)
        except NotAuthentic as error:
            if arrival is not Arrival.PUSHED:
                raise
            reason = str(error)
            letter = DeadLetter(reaction.name, received.body, reason, authentic=False)
            return await keep(self.database, letter)
        except Exception as error:  # noqa: BLE001 - one rule decides what an error means
            return await self._failed(reaction, received, arrival, error)
        return Status.SUCCESS

    async def _failed(
        self,
        reaction: AnyReaction,
        received: Received,
        arrival: Arrival,
        error: Exception,
    ) -> Status:
        kept = False
        try:
            if not is_unavailable(error):
                envelope = authenticate(received, self.keys)
                tracer = self.database.info.get("tracer")
                note_failure(tracer, reaction, envelope, arrival, error)
                failed = Failed(reaction.name, received.body, envelope.id, error)
                kept = await self.database.write(
                    lambda session: record_failure(session, failed, arrival)
                )
        except Exception as worse:  # noqa: BLE001 - nothing is acknowledged that is not stored
            error = worse
        if kept:
            return Status.SUCCESS
        _log_retry(reaction, error, logs.about(received.body))
        return Status.RETRY


def _log_retry(reaction: AnyReaction, error: Exception, ids: Mapping[str, str]) -> None:
    trace = None if is_unavailable(error) else error
    text, reason = "%s failed; the event will be retried: %s", one_line(describe(error))
    _log.error(text, reaction.name, reason, exc_info=trace, extra=ids)


def act_on_new(
    session: Session,
    reaction: AnyReaction,
    parsed: Sequence[tuple[CloudEvent, Any]],
    arrival: Arrival,
) -> list[str]:
    """Claim events at once and act on those that are new, in order; return their ids."""
    ids = {envelope.id for envelope, _ in parsed}
    unseen, new = claim(session, reaction.name, ids, arrival), []
    for envelope, event in parsed:
        if envelope.id in unseen:
            unseen.remove(envelope.id)  # listed twice, it is acted on once
            act(session, reaction, envelope, event, arrival)
            new.append(envelope.id)
    if arrival is Arrival.PUSHED and len(new) < len(parsed):
        pulled = inbox.c.reaction == reaction.name, inbox.c.arrival == Arrival.PULLED
        known = inbox.c.event_id.in_(ids.difference(new))
        session.execute(
            update(inbox).where(*pulled, known).values(arrival=Arrival.LATE)
        )
    return new


def claim(
    session: Session, reaction: str, ids: Collection[str], arrival: Arrival
) -> set[str]:
    """Insert the keys of these events; return the ids that this reaction did not have.

    The insert itself is the claim: a look before it would let two deliveries through. In the order of their
    ids, so that two pages do not deadlock; grouped deliveries may, and are run again.
    """
    of_all = {"reaction": reaction, "handled_at": clock.now(), "arrival": arrival}
    values = {**of_all, "ids": dict.fromkeys(sorted(ids))}
    return set(session.connection().scalars(_CLAIM, values)) if ids else set()


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
    if not _is_permanent(failed.error) and tries < attempts.MAX_ATTEMPTS:
        return False
    attempts.forget(session, failed.reaction, failed.event_id)
    if claim(session, failed.reaction, [failed.event_id], arrival):
        reason = describe(failed.error)
        letter = DeadLetter(
            failed.reaction,
            failed.body,
            reason,
            failed.event_id,
            attempts=tries,
            kind=type(failed.error).__name__,
        )
        store(session, letter)
    return True


def _is_permanent(error: Exception) -> bool:
    # What PostgreSQL says of values that it cannot store, SQLAlchemy does not always call a DataError.
    is_refused = isinstance(error, StatementError) and is_data_error(error)
    return is_refused or isinstance(error, PERMANENT)


def describe(error: Exception) -> str:
    """Return the reason of a failure; of a bug, with the kind of the error."""
    if isinstance(error, StatementError):
        return describe_refusal(error)
    if _is_permanent(error) or isinstance(error, NotAuthentic):
        return str(error)
    return f"{type(error).__name__}: {logs.words(error)}"


async def keep(database: Database, letter: DeadLetter) -> Status:
    """Store a dead letter; RETRY where that fails."""
    try:
        await database.write(lambda session: store(session, letter))
    except Exception as error:  # noqa: BLE001 - nothing is acknowledged that is not stored
        trace = None if is_unavailable(error) else error
        text, reason = "a dead letter of %s could not be stored: %s", describe(error)
        _log.error(text, letter.reaction, one_line(reason), exc_info=trace)
        return Status.RETRY
    return Status.SUCCESS
