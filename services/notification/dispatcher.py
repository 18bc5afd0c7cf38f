"""The dispatcher sends mails that are due, one at a time: claim, send, store what became of it.

The claim is committed before anything leaves. What may have left (a crash, a time-out) is UNKNOWN: it is sent
once more or held, as the service is configured. A mail that is itself refused waits alone; only trouble of the
server or the connection pauses the channel.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TypeAlias, TypeGuard

from opentelemetry.trace import SpanKind
from sqlalchemy import ColumnElement, case, literal
from sqlalchemy.orm import Session

from chassis.dapr import BindingRefused, OutcomeUnknown, SidecarUnavailable
from chassis.database import Database, Utc
from chassis.runtime import Loop, clock, metrics, otlp, telemetry
from chassis.runtime.telemetry import Span, Tracer
from services.notification import measures, outcomes, throttle
from services.notification.channels import Mail
from services.notification.model import SIGNAL, Notification, State
from services.notification.outcomes import (
    LONGEST_WAIT,
    Policy,
    mark_and_append,
)
from services.notification.throttle import NONE, Limits

TOO_LATE = "its outcome is unknown, and its receiver may have forgotten its key by now"
REFUSED_AGAIN = "its outcome was unknown, and sent again it was refused"
INTERRUPTED = "the service ended, or stood still, while it was being sent"

_SENDING = otlp.operation("send mail", SpanKind.CLIENT, {})
LONGEST_PAUSE = timedelta(minutes=5)
"""The longest wait of a mail that met a channel in trouble."""
ABANDONED_WAIT = timedelta(minutes=2)
"""How long the sidecar gets for a mail that it may still be sending, before the mail is sent again."""
REFUSED_WAIT = timedelta(seconds=15)
"""The first wait of a mail that was itself refused; it doubles up to LONGEST_WAIT."""
GIVEN_UP_AFTER = timedelta(days=3)
"""A mail that is still refused so long after the first refusal has failed."""
LONGEST_SLEEP = 1.0
"""Seconds that a step waits at most for the moment at which the next mail may leave."""
CHECK_EXPIRED = 10.0
"""Seconds between two looks for claims that have run out."""

Outcome: TypeAlias = Callable[[Session], object]
"""The unit of work that stores what became of a mail."""


class ChannelUnavailable(Exception):
    """No mail can be sent at the moment; what was ready stays ready."""


@dataclass
class Dispatcher:
    """Takes mails from READY through SENDING to SENT."""

    database: Database
    mail: Mail
    unknown: Policy = "resend"
    limits: Limits = NONE
    owner: str = ""
    # Why the channel does not work, until something goes through.
    _trouble: str = ""
    # What became of the mail before, until it is stored: what was sent would be sent again otherwise.
    _outcome: Outcome | None = None
    _checked_at: float = float("-inf")

    def __post_init__(self) -> None:
        """Claim as the one process of this service at its sidecar."""
        self.owner = self.owner or self.database.owner

    def loop(self) -> Loop:
        """Return the loop that keeps sending."""
        signal = self.database.signal(SIGNAL)
        lock = self.database.lock_file("dispatcher")
        expected = (ChannelUnavailable,)
        return Loop(
            "dispatcher", self.step, self.reclaim, signal, lock, expected=expected
        )

    async def reclaim(self) -> None:
        """Settle what an earlier process had claimed: whoever holds the loop's lock is the only such one."""
        # The claims of other replicas expire by themselves.
        owner = self.owner if self.database.is_shared else None
        await self._settle(outcomes.claimed_by(owner))

    async def step(self) -> bool:
        """Send the mail that is due first; return whether there was one. Raises ChannelUnavailable."""
        await self._store()
        await self._settle_expired()
        if not await self.database.read(outcomes.is_any_due):
            # Nothing was tried now: that is no sign that the channel works again.
            if bool(self._trouble) and await self.database.read(outcomes.is_waiting):
                raise ChannelUnavailable(self._trouble)
            return False
        keyed = await self._is_keyed()
        claimed = await self.database.write(
            lambda session: throttle.claim(
                session, self.owner, self.limits, keyed=keyed
            )
        )
        if isinstance(claimed, Notification):
            await self._send(claimed)
        elif claimed:
            await asyncio.sleep(min(LONGEST_SLEEP, claimed.total_seconds()))
        return claimed is not None

    async def _is_keyed(self) -> bool:
        # Asked before the claim: if the process ended in between, a mail that is UNKNOWN with a key would
        # count as one without.
        try:
            return await self.mail.is_keyed()
        except (SidecarUnavailable, BindingRefused) as error:
            self._trouble = str(error)
            raise ChannelUnavailable(self._trouble) from error

    async def _send(self, mail: Notification) -> None:
        mine, trouble = outcomes.fence(self.owner, mail), ""
        if mail.keyed and outcomes.is_too_late(mail):
            self._outcome = partial(
                mark_and_append, which=mine, state=State.HELD, reason=TOO_LATE
            )
            await self._store()
            return
        try:
            with telemetry.within(self._span(mail)), metrics.timed(measures.MAILS):
                await self.mail.deliver(mail)
            now = clock.now()
            self._outcome = partial(outcomes.mark_sent, which=mine, sent_at=now)
        except (BindingRefused, SidecarUnavailable, OutcomeUnknown) as error:
            self._outcome = self._outcome_of(error, mail)
            trouble = "" if _concerns_message(error) else str(error)
        await self._store()
        self._trouble = trouble
        if trouble:
            # A server that is down would otherwise be asked for each mail, a slow one ever more often.
            raise ChannelUnavailable(trouble)

    def _span(self, mail: Notification) -> Span | None:
        tracer: Tracer | None = self.database.info.get("tracer")
        if tracer is None:
            return None
        if span := tracer.child(_SENDING, mail.trace):
            span.attributes["mail.attempt"] = mail.attempt
        return span

    def _outcome_of(self, error: Exception, mail: Notification) -> Outcome:
        mine, reason, due = outcomes.fence(self.owner, mail), str(error), _due(mail)
        if isinstance(error, OutcomeUnknown):
            # Without a key, a second mail must not meet the first while daprd may still be sending it.
            at = _abandoned() if error.pending and not mail.keyed else due
            return lambda session: outcomes.mark_unknown(
                session, mine, self.unknown, reason, at
            )
        if not _concerns_message(error):
            return lambda session: outcomes.give_back(session, mine, reason, due)
        now = clock.now()
        since = min(mail.refused_since or now, now)
        if not error.permanent and now - since < GIVEN_UP_AFTER:
            wait = min(LONGEST_WAIT, max(REFUSED_WAIT, now - since))
            later = now + wait * clock.jitter(0.5, 1)
            return lambda session: outcomes.give_back(
                session, mine, reason, later, refused_since=since
            )
        if mail.keyed and mail.in_doubt_since:
            # Perhaps it is the key that is refused, for a mail that was accepted with another text.
            reason = f"{REFUSED_AGAIN}: {reason}"
            return partial(mark_and_append, which=mine, state=State.HELD, reason=reason)
        return partial(mark_and_append, which=mine, state=State.FAILED, reason=reason)

    async def _store(self) -> None:
        if self._outcome:
            await self.database.write(self._outcome)
            self._outcome = None

    async def _settle_expired(self) -> None:
        # Claims of replicas that are gone, and of this one where its outcome could not be stored.
        if clock.monotonic() - self._checked_at >= CHECK_EXPIRED:
            await self._settle(outcomes.is_expired(clock.now()))
            self._checked_at = clock.monotonic()

    async def _settle(self, which: ColumnElement[bool]) -> None:
        await self.database.write(
            lambda session: outcomes.mark_unknown(
                session, which, self.unknown, INTERRUPTED, _due_after_interruption()
            )
        )


def _concerns_message(error: Exception) -> TypeGuard[BindingRefused]:
    return isinstance(error, BindingRefused) and error.concerns_message


def _due(mail: Notification) -> datetime:
    # A second, doubling, with jitter.
    longest = timedelta(seconds=2 ** min(mail.attempt - 1, 20))
    return clock.now() + min(LONGEST_PAUSE, longest) * clock.jitter(0.5, 1)


def _abandoned() -> datetime:
    return clock.now() + ABANDONED_WAIT


def _due_after_interruption() -> ColumnElement[datetime]:
    with_a_key, without = literal(clock.now(), Utc), literal(_abandoned(), Utc)
    return case((Notification.keyed, with_a_key), else_=without)
