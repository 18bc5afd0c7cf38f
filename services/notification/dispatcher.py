"""The dispatcher sends what is ready on one channel: claim, send, mark, outside the delivery of the event.

A claim is committed before anything leaves. What may have left or not (a crash, a time-out) is UNKNOWN, and
is sent once more or held, as the service is told.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import NoReturn, Protocol

from sqlalchemy import ColumnElement, and_, case, literal

from chassis.dapr.bindings import BindingRefused, OutcomeUnknown
from chassis.dapr.sidecar import SidecarUnavailable
from chassis.database.hooks import after_commit
from chassis.database.unit_of_work import Database, Utc
from chassis.runtime import clock
from chassis.runtime.loop import Loop
from services.notification import outcomes
from services.notification.model import Channel, Notification, State, signal_of
from services.notification.outcomes import Policy

TOO_LATE = "nobody knows whether it was sent, and its receiver may have forgotten its key by now"
REFUSED_AGAIN = "nobody knows whether it was sent before, and sent again it was refused"
LOOK_FOR_EXPIRED = 10.0
"""Seconds between two looks at claims that nobody will answer for."""


class Delivery(Protocol):
    """A channel's way to its customers."""

    async def is_keyed(self) -> bool:
        """Tell whether what is sent now carries a key that its receiver deduplicates by.

        Raises SidecarUnavailable, BindingRefused.
        """

    async def deliver(self, notification: Notification) -> None:
        """Send it; raises BindingRefused, SidecarUnavailable (it did not leave), OutcomeUnknown."""


class ChannelUnavailable(Exception):
    """The channel does not work at the moment; what was ready stays ready."""


@dataclass
class Dispatcher:
    """Takes the notifications of one channel from READY over SENDING to SENT, `batch` at a time."""

    database: Database
    channel: Channel
    delivery: Delivery
    batch: int = 1
    unknown: Policy = "resend"
    owner: str = ""
    key_kept: timedelta = outcomes.KEY_KEPT
    # What was wrong last, until something goes through.
    _trouble: str = ""
    _delivered: list[Notification] = field(default_factory=list)
    _looked_at: float = float("-inf")

    def __post_init__(self) -> None:
        """Claim as the one process of this service at its sidecar."""
        self.owner = self.owner or self.database.owner

    def loop(self) -> Loop:
        """Make the loop that keeps sending."""
        name = f"{self.channel} dispatcher"
        signal = self.database.signal(signal_of(self.channel))
        lock = self.database.lock_file(f"{self.channel}-dispatcher")
        return Loop(name, self.step, self.reclaim, signal, lock)

    async def reclaim(self) -> None:
        """Settle what an earlier process had claimed: whoever holds the loop's lock is the only such one."""
        claimed = Notification.state == State.SENDING
        if self.database.is_shared:  # the claims of the others expire by themselves
            claimed = and_(claimed, Notification.owner == self.owner)
        await self._settle(claimed)

    async def step(self) -> bool:
        """Send one batch; tell whether there was any. Raises ChannelUnavailable in trouble."""
        await self._mark_delivered()
        await self._settle_expired()
        if not await self._is_any_due():
            return False
        claimed = await self._claim()
        for each in claimed:
            if not await self._is_held(each) and await self._is_delivered(each):
                self._delivered.append(each)
        await self._mark_delivered()
        return bool(claimed)

    async def _is_any_due(self) -> bool:
        async with self.database.read() as session:
            is_due = await outcomes.is_any_due(session, self.channel)
            if is_due or not self._trouble:
                return is_due
            # Nothing is tried now: that is no sign that the channel works again.
            if await outcomes.is_waiting(session, self.channel):
                raise ChannelUnavailable(self._trouble)
        return False

    async def _claim(self) -> Sequence[Notification]:
        keyed, mine = await self._is_keyed(), (self.owner, self.channel, self.batch)
        async with self.database.write() as session:
            return await outcomes.claim(session, *mine, keyed=keyed)

    async def _is_keyed(self) -> bool:
        # Before anything is claimed: a claim that does not know it would make of what is UNKNOWN with a key
        # something without one, were this process to end now.
        try:
            return await self.delivery.is_keyed()
        except (SidecarUnavailable, BindingRefused) as error:
            self._pause(str(error))

    async def _mark_delivered(self) -> None:
        # They are forgotten only once they are stored: what went out would be sent again otherwise.
        if not self._delivered:
            return
        async with self.database.write() as session:
            mine = outcomes.fence(self.owner, self._delivered)
            marked = await outcomes.mark_sent(session, mine)
            after_commit(session, partial(_print, marked))
        self._delivered.clear()

    async def _is_delivered(self, notification: Notification) -> bool:
        try:
            await self.delivery.deliver(notification)
        except BindingRefused as error:
            if not error.permanent:
                await self._give_back(notification, str(error))
            await self._refuse(notification, str(error))
        except SidecarUnavailable as error:
            await self._give_back(notification, str(error))
        except OutcomeUnknown as error:
            await self._leave_unknown(notification, error)
        else:
            self._trouble = ""
            return True
        return False

    async def _give_back(self, notification: Notification, reason: str) -> None:
        mine, due = outcomes.fence(self.owner, [notification]), _due(notification)
        async with self.database.write() as session:
            await outcomes.give_back(session, mine, reason, due)
        self._pause(reason)

    async def _leave_unknown(
        self, notification: Notification, error: OutcomeUnknown
    ) -> None:
        mine, reason = outcomes.fence(self.owner, [notification]), str(error)
        # With a key, daprd may as well be at it still.
        is_at_it = error.pending and not notification.keyed
        due = _abandoned() if is_at_it else _due(notification)
        async with self.database.write() as session:
            await outcomes.mark_unknown(session, mine, self.unknown, reason, due)
        self._pause(reason)

    async def _is_held(self, notification: Notification) -> bool:
        is_late = outcomes.is_too_late(notification, self.key_kept)
        if not notification.keyed or not is_late:
            return False
        mine = outcomes.fence(self.owner, [notification])
        async with self.database.write() as session:
            await outcomes.hold(session, mine, TOO_LATE)
        return True

    def _pause(self, reason: str) -> NoReturn:
        # This one is tried again later, and the channel as a whole pauses: a server that is away would
        # otherwise be asked for each that waits, and one that is slow would get more and more at once.
        self._trouble = reason
        raise ChannelUnavailable(reason)

    async def _refuse(self, notification: Notification, reason: str) -> None:
        mine = outcomes.fence(self.owner, [notification])
        async with self.database.write() as session:
            if notification.keyed and notification.in_doubt_since:
                # It may be the key that is refused, for a mail that was taken before, worded otherwise.
                await outcomes.hold(session, mine, f"{REFUSED_AGAIN}: {reason}")
            else:
                await outcomes.mark_refused(session, mine, reason)
        self._trouble = ""

    async def _settle_expired(self) -> None:
        # Replicas that are gone, and what this one claimed but could not store the outcome of.
        if clock.monotonic() - self._looked_at >= LOOK_FOR_EXPIRED:
            await self._settle(outcomes.is_expired(clock.now()))
            self._looked_at = clock.monotonic()

    async def _settle(self, claimed: ColumnElement[bool]) -> None:
        mine = and_(claimed, Notification.channel == self.channel)
        reason = "the service ended, or stood still, while it was being sent"
        async with self.database.write() as session:
            if self.channel is Channel.CONSOLE:
                # Nothing is seen on the console before SENT: it is simply ready again.
                await outcomes.give_back(session, mine, None, clock.now())
            else:
                await outcomes.mark_unknown(
                    session, mine, self.unknown, reason, _due_with_or_without_a_key()
                )


def _due(notification: Notification) -> datetime:
    # A second, doubling up to five minutes, with jitter.
    longest = timedelta(seconds=2 ** min(notification.attempt - 1, 20))
    wait = min(outcomes.LONGEST_WAIT, longest) * clock.jitter(0.5, 1)
    return clock.now() + wait


def _abandoned() -> datetime:
    return clock.now() + outcomes.ABANDONED_WAIT


def _due_with_or_without_a_key() -> ColumnElement[datetime]:
    with_a_key, without = literal(clock.now(), Utc), literal(_abandoned(), Utc)
    return case((Notification.keyed, with_a_key), else_=without)


def _print(sent: Sequence[Notification]) -> None:
    # After the commit, and from the row: a line that was printed is never printed again.
    for notification in sorted(sent, key=lambda each: each.id):
        sys.stdout.write(f"{notification.text}\n")
    sys.stdout.flush()
