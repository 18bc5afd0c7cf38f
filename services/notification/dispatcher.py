"""The dispatcher sends what is ready on one channel: claim, send, mark, outside the delivery of the event.

A claim is committed before anything leaves. What may have left or not (a crash, a time-out) is UNKNOWN, and
is sent again or held, as the service is told.
"""

import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, Protocol

from sqlalchemy import ColumnElement, and_

from chassis.database import Database
from chassis.loop import Loop
from chassis.sidecar import BindingRefused, OutcomeUnknown, SidecarUnavailable
from services.notification import outcomes
from services.notification.model import Channel, Notification, State, signal_of

Policy = Literal["resend", "hold"]


class Delivery(Protocol):
    """A channel's way to its customers."""

    async def deliver(self, notification: Notification) -> None:
        """Send it; raises BindingRefused, SidecarUnavailable (it did not leave), OutcomeUnknown."""


class ChannelUnavailable(Exception):
    """The channel takes nothing at the moment; what was ready stays ready."""


@dataclass
class Dispatcher:
    """Takes the notifications of one channel from READY over SENDING to SENT, `batch` at a time."""

    database: Database
    channel: Channel
    delivery: Delivery
    batch: int = 1
    unknown: Policy = "resend"
    owner: str = ""

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
        """Send one batch; tell whether there was any. Raises ChannelUnavailable when nothing is taken."""
        if self.database.is_shared:
            await self._settle(outcomes.is_expired(datetime.now(UTC)))
        async with self.database.write() as session:
            claimed = await outcomes.claim(
                session, self.owner, self.channel, self.batch
            )
        sent = [each for each in claimed if await self._is_delivered(each)]
        if sent:
            async with self.database.write() as session:
                mine = outcomes.fence(self.owner, sent)
                marked = await outcomes.mark_sent(session, mine)
            _print(marked)
        return bool(claimed)

    async def _is_delivered(self, notification: Notification) -> bool:
        try:
            await self.delivery.deliver(notification)
        except BindingRefused as error:
            if not error.permanent:
                await self._give_back(notification, str(error))
            await self._fail(notification, State.FAILED, str(error))
        except SidecarUnavailable as error:
            await self._give_back(notification, str(error))
        except OutcomeUnknown as error:
            await self._fail(notification, self._if_unknown(), str(error))
        else:
            return True
        return False

    def _if_unknown(self) -> State:
        return State.UNKNOWN if self.unknown == "resend" else State.HELD

    async def _give_back(self, notification: Notification, reason: str) -> None:
        mine, due = outcomes.fence(self.owner, [notification]), _due(notification)
        async with self.database.write() as session:
            await outcomes.give_back(session, mine, reason, due)
        # This one is tried again later, and the channel as a whole pauses: a server that is away would
        # otherwise be asked for each that waits.
        raise ChannelUnavailable(reason)

    async def _fail(
        self, notification: Notification, state: State, reason: str
    ) -> None:
        mine, due = outcomes.fence(self.owner, [notification]), _due(notification)
        async with self.database.write() as session:
            await outcomes.mark_failed(session, mine, state, reason, due)

    async def _settle(self, claimed: ColumnElement[bool]) -> None:
        mine, now = (
            and_(claimed, Notification.channel == self.channel),
            datetime.now(UTC),
        )
        async with self.database.write() as session:
            if self.channel is Channel.CONSOLE:
                # Nothing is seen on the console before SENT: it is simply ready again.
                await outcomes.give_back(session, mine, None, now)
            else:
                reason = "the service ended, or stood still, while it was being sent"
                await outcomes.mark_failed(
                    session, mine, self._if_unknown(), reason, now
                )


def _due(notification: Notification) -> datetime:
    # A second, doubling up to five minutes, with jitter.
    longest = timedelta(seconds=2 ** min(notification.attempt - 1, 20))
    wait = min(outcomes.LONGEST_WAIT, longest) * random.uniform(0.5, 1)  # noqa: S311 - jitter, no secret
    return datetime.now(UTC) + wait


def _print(sent: Sequence[Notification]) -> None:
    # After the commit, and from the row: a line that was printed is never printed again.
    for notification in sorted(sent, key=lambda each: each.id):
        sys.stdout.write(f"{notification.text}\n")
    sys.stdout.flush()
