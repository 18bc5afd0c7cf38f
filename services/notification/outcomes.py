"""What becomes of a notification: claimed, sent, refused, unknown; an event tells of each end."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, and_, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import outbox
from chassis.cloud_event import Cause, CloudEvent, envelop
from contracts.event import Event
from contracts.notification_failed import NotificationFailed
from contracts.notification_sent import NotificationSent
from services.notification.model import Channel, Notification, State

LONGEST_WAIT = timedelta(minutes=5)
"""How long a notification waits at most before it is tried again."""
LEASE = timedelta(seconds=60)
"""How long a claim holds, well above the deadline of a call; after it nobody knows what became of it."""
LONGEST_REASON = 500


async def claim(
    session: AsyncSession, owner: str, channel: Channel, batch: int
) -> Sequence[Notification]:
    """Take the oldest that are due, what is UNKNOWN too: committed as SENDING before anything leaves."""
    now = datetime.now(UTC)
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
            sending_until=now + LEASE,
        )
        .returning(Notification)
    )
    return (await session.scalars(statement)).all()


def _is_due(now: datetime) -> ColumnElement[bool]:
    # A time further ahead than it can be was written before the clock was set back: it counts as past.
    due = Notification.due_at
    return and_(
        Notification.state.in_([State.READY, State.UNKNOWN]),
        or_(due.is_(None), due <= now, due > now + LONGEST_WAIT),
    )


def is_expired(now: datetime) -> ColumnElement[bool]:
    """Tell of a claim whether whoever made it is gone, or was stopped for long."""
    until = Notification.sending_until
    return and_(
        Notification.state == State.SENDING, or_(until <= now, until > now + LEASE)
    )


def fence(owner: str, claimed: Sequence[Notification]) -> ColumnElement[bool]:
    """Name what this owner claimed, while nobody has claimed it again.

    What has become UNKNOWN meanwhile counts too: whoever sent it knows better.
    """
    mine = or_(
        *(
            and_(Notification.id == each.id, Notification.attempt == each.attempt)
            for each in claimed
        )
    )
    held = Notification.state.in_([State.SENDING, State.UNKNOWN])
    return and_(held, Notification.owner == owner, mine)


async def give_back(
    session: AsyncSession, which: ColumnElement[bool], reason: str | None, due: datetime
) -> None:
    """Make ready again what certainly was not sent."""
    ready = {"state": State.READY, "owner": None, "reason": _short(reason)}
    statement = update(Notification).where(which).values(**ready, due_at=due)
    await session.execute(statement)


async def mark_sent(
    session: AsyncSession, which: ColumnElement[bool]
) -> Sequence[Notification]:
    """Mark as SENT, and tell of it; give what was marked."""
    sent = {"state": State.SENT, "sent_at": datetime.now(UTC), "reason": None}
    return await _mark(session, which, sent)


async def mark_failed(
    session: AsyncSession,
    which: ColumnElement[bool],
    state: State,
    reason: str,
    due: datetime,
) -> None:
    """Mark as FAILED, UNKNOWN or HELD, and tell of it; what is UNKNOWN is sent again when it is due."""
    await _mark(
        session, which, {"state": state, "reason": _short(reason), "due_at": due}
    )


async def _mark(
    session: AsyncSession, which: ColumnElement[bool], values: dict[str, object]
) -> Sequence[Notification]:
    statement = (
        update(Notification)
        .where(which)
        .values(**values, version=Notification.version + 1)
        .returning(Notification)
    )
    marked = (await session.scalars(statement)).all()
    await outbox.put(session, [_letter(session, each) for each in marked])
    return marked


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
        return NotificationSent.model_validate(
            {**about, "sent_at": notification.sent_at}
        )
    failed = {"outcome": notification.state, "reason": notification.reason}
    return NotificationFailed.model_validate(
        {**about, **failed, "failed_at": datetime.now(UTC)}
    )


def _short(reason: str | None) -> str | None:
    return reason[:LONGEST_REASON] if reason else reason
