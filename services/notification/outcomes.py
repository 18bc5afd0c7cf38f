"""What becomes of a notification: claimed, sent, refused, unknown; an event tells of each end."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import ColumnElement, and_, func, or_, select, true, update
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.cloud_event import Cause, CloudEvent, envelop
from chassis.event import Event
from chassis.outbox import outbox
from chassis.runtime import clock
from contracts.notification_failed import NotificationFailed
from contracts.notification_released import NotificationReleased
from contracts.notification_sent import NotificationSent
from services.notification.model import Channel, Notification, State

Policy = Literal["resend", "hold"]

LONGEST_WAIT = timedelta(minutes=5)
"""How long a notification waits at most before it is tried again."""
ABANDONED_WAIT = timedelta(minutes=2)
"""How long the sidecar has for a mail that it may still be at, before the mail is sent again."""
KEY_KEPT = timedelta(hours=12)
"""How long a receiver that deduplicates is relied on to know a key; the usual ones know it for 24 hours."""
LEASE = timedelta(seconds=60)
"""How long a claim holds, well above the deadline of a call; after it nobody knows what became of it."""
LONGEST_REASON = 500


async def claim(
    session: AsyncSession,
    owner: str,
    channel: Channel,
    batch: int,
    *,
    keyed: bool = False,
) -> Sequence[Notification]:
    """Take the oldest that are due, what is UNKNOWN too: committed as SENDING before anything leaves.

    `keyed` is kept with them: whether they leave with a key that their receiver deduplicates by.
    """
    now = clock.now()
    due = (
        select(Notification.id)
        .where(Notification.channel == channel, _is_due(now))
        .order_by(Notification.id)
        .limit(batch)
        .with_for_update(skip_locked=True)
    )
    statement = (
        update(Notification)
        .where(Notification.id.in_(due))
        .values(
            state=State.SENDING,
            owner=owner,
            attempt=Notification.attempt + 1,
            keyed=keyed,
            sending_until=now + LEASE,
        )
        .returning(Notification)
    )
    return (await session.scalars(statement)).all()


async def is_any_due(session: AsyncSession, channel: Channel) -> bool:
    """Tell whether there is anything to claim on this channel."""
    mine = and_(Notification.channel == channel, _is_due(clock.now()))
    return (
        await session.scalar(select(Notification.id).where(mine).limit(1)) is not None
    )


async def is_waiting(session: AsyncSession, channel: Channel) -> bool:
    """Tell whether anything is still to be sent on this channel, now or later."""
    waiting = Notification.state.in_([State.READY, State.UNKNOWN])
    any_of_it = select(Notification.id).where(Notification.channel == channel, waiting)
    return await session.scalar(any_of_it.limit(1)) is not None


def _is_due(now: datetime) -> ColumnElement[bool]:
    # A time further ahead than it can be was written before the clock was set back: it counts as past.
    due = Notification.due_at
    return and_(
        Notification.state.in_([State.READY, State.UNKNOWN]),
        or_(due.is_(None), due <= now, due > now + LONGEST_WAIT),
    )


def is_expired(now: datetime) -> ColumnElement[bool]:
    """Tell of a claim whether whoever made it is gone, or was stopped for long."""
    until, longest = Notification.sending_until, _longest_lease(now)
    return and_(Notification.state == State.SENDING, or_(until <= now, until > longest))


def _longest_lease(now: datetime) -> datetime:
    return now + LEASE + clock.CLOCKS_APART


def fence(owner: str, claimed: Sequence[Notification]) -> ColumnElement[bool]:
    """Name what this owner claimed, while nobody has claimed it again.

    What has become UNKNOWN or HELD meanwhile counts too: whoever sent it knows better.
    """
    mine = or_(
        *(
            and_(Notification.id == each.id, Notification.attempt == each.attempt)
            for each in claimed
        )
    )
    held = Notification.state.in_([State.SENDING, State.UNKNOWN, State.HELD])
    return and_(held, Notification.owner == owner, mine)


async def give_back(
    session: AsyncSession, which: ColumnElement[bool], reason: str | None, due: datetime
) -> None:
    """Make ready again what certainly was not sent."""
    ready = {"state": State.READY, "owner": None, "reason": _line(reason)}
    statement = update(Notification).where(which).values(**ready, due_at=due)
    await session.execute(statement)


async def mark_sent(
    session: AsyncSession, which: ColumnElement[bool]
) -> Sequence[Notification]:
    """Mark as SENT, and tell of it; give what was marked."""
    now = clock.now()
    return await _mark(session, which, State.SENT, sent_at=now)


async def mark_refused(
    session: AsyncSession, which: ColumnElement[bool], reason: str
) -> None:
    """Mark as FAILED, and tell of it: it is never tried again."""
    await _mark(session, which, State.FAILED, reason=_line(reason))


async def mark_unknown(
    session: AsyncSession,
    which: ColumnElement[bool],
    policy: Policy,
    reason: str,
    due: datetime | ColumnElement[datetime],
) -> None:
    """Mark as UNKNOWN, to be sent again when due, or as HELD, and tell of it.

    What was sent with a key is sent again with it until its outcome is known; that it is unknown is told
    once. What had none is sent again once: a server that takes each mail and never says so would get it for
    ever.
    """
    sending, why = and_(which, Notification.state == State.SENDING), _line(reason)
    in_doubt = Notification.in_doubt_since
    since = {"in_doubt_since": func.coalesce(in_doubt, Notification.sending_until)}
    is_held = true() if policy == "hold" else in_doubt.is_not(None)
    to_hold = and_(sending, Notification.keyed.is_(False), is_held)
    await _mark(session, to_hold, State.HELD, reason=why, **since)
    again = update(Notification).where(sending, in_doubt.is_not(None))
    unknown = {"reason": why, "due_at": due}
    await session.execute(again.values(**unknown, state=State.UNKNOWN))
    await _mark(session, sending, State.UNKNOWN, **unknown, **since)


def is_too_late(notification: Notification, kept: timedelta) -> bool:
    """Tell whether its receiver may have forgotten its key since it may have been sent first.

    So does a time that lies ahead: the clock was set back, and nobody knows how long ago it was.
    """
    since, now = notification.in_doubt_since, clock.now()
    return since is not None and not now - kept < since <= _longest_lease(now)


async def hold(session: AsyncSession, which: ColumnElement[bool], reason: str) -> None:
    """Mark as HELD, and tell of it: it waits for an operator."""
    await _mark(session, which, State.HELD, reason=_line(reason))


async def release(
    session: AsyncSession, which: ColumnElement[bool], by: str, reason: str
) -> None:
    """Make ready again what was held or had failed, as if nothing were in doubt, and tell of it."""
    released = {"released_at": clock.now(), "released_by": by}
    fresh = {"owner": None, "in_doubt_since": None, "release_reason": reason}
    await _mark(session, which, State.READY, **released, **fresh)


async def _mark(
    session: AsyncSession, which: ColumnElement[bool], state: State, **values: object
) -> Sequence[Notification]:
    marked = {"reason": None, "due_at": None, **values, "state": state}
    statement = (
        update(Notification)
        .where(which)
        .values(**marked, version=Notification.version + 1)
        .returning(Notification)
    )
    found = (await session.scalars(statement)).all()
    await outbox.put(session, [_letter(session, each) for each in found])
    return found


def _letter(
    session: AsyncSession, notification: Notification
) -> tuple[Event, CloudEvent]:
    event = _event(notification)
    envelope = envelop(
        event,
        service=session.info["service"],
        subject=notification.order_id,
        cause=Cause(notification.trace, notification.caused_by),
        version=notification.version,
    )
    return event, envelope


def _event(notification: Notification) -> Event:
    about = {"order_id": notification.order_id, "channel": notification.channel}
    if notification.state == State.SENT:
        sent = {"sent_at": notification.sent_at}
        return NotificationSent.model_validate({**about, **sent})
    if notification.state == State.READY:
        released = {"released_at": notification.released_at}
        return NotificationReleased.model_validate({**about, **released})
    failed = {"outcome": notification.state, "reason": notification.reason}
    return NotificationFailed.model_validate(
        {**about, **failed, "failed_at": clock.now()}
    )


def _line(reason: str | None) -> str | None:
    # It is a mail server's text: what cannot be printed might not be stored either.
    printable = (each if each.isprintable() else " " for each in reason or "")
    return "".join(printable)[:LONGEST_REASON] or None
