"""What becomes of a notification: claimed, sent, refused, unknown, held, released; most ends append an event."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, true, update
from sqlalchemy.orm import Session

from chassis.cloud_event import Cause
from chassis.database import wake
from chassis.event import Event
from chassis.inbox.dead_letter import one_line
from chassis.outbox import append
from chassis.runtime import clock
from chassis.text import without_addresses
from contracts.notification_failed import NotificationFailed
from contracts.notification_released import NotificationReleased
from contracts.notification_sent import NotificationSent
from services.notification import console
from services.notification.measures import measure_notified
from services.notification.model import IS_OPEN, SIGNAL, Channel, Notification, State

Policy = Literal["resend", "hold"]
Which: TypeAlias = ColumnElement[bool]
"""The notifications that an outcome is about."""
Values: TypeAlias = dict[str, Any]

LONGEST_WAIT = timedelta(hours=1)
"""The longest wait before the next attempt."""
MOST_REPORTS = 20
"""How many of a notification's events its journey shows beside the one that says it was sent."""
LEASE = timedelta(seconds=60)
"""How long a claim holds: well above the deadline of a call. After it, the outcome is unknown."""
KEY_KEPT = timedelta(hours=12)
"""How long a receiver is relied on to know a key; the usual ones know it for 24 hours."""
LONGEST_REASON = 500

_waiting = and_(IS_OPEN, Notification.state != State.SENDING)


def due_first(
    now: datetime, number: int = 1
) -> Select[UUID, str | None, datetime | None]:
    """Select, and lock, so many mails that are due, UNKNOWN or READY, the first first."""
    return (
        select(Notification.id, Notification.customer_email, Notification.slot_at)
        .where(_is_due(now))
        .order_by(Notification.due_at, Notification.id)
        .limit(number)
        .with_for_update(skip_locked=True)
    )


def claim(
    session: Session,
    owner: str,
    *,
    keyed: bool = False,
    mail: UUID | None = None,
    **values: object,
) -> Notification | None:
    """Claim this mail, or the one that is due first: it is committed as SENDING before it leaves.

    `keyed`: this attempt carries a key by which the receiver deduplicates.
    """
    now = clock.now()
    # A CTE with FOR UPDATE is computed once: as a subquery, a nested loop might claim more than one.
    first = select(due_first(now).cte("due").c.id)
    statement = (
        update(Notification)
        .where(Notification.id == mail if mail else Notification.id.in_(first))
        .values(
            state=State.SENDING,
            owner=owner,
            attempt=Notification.attempt + 1,
            keyed=keyed,
            sending_until=now + LEASE,
            **values,
        )
        .returning(Notification)
    )
    return session.scalars(statement).one_or_none()


def is_any_due(session: Session) -> bool:
    """Return whether there is a mail to claim."""
    due = select(Notification.id).where(_is_due(clock.now()))
    return session.scalar(due.limit(1)) is not None


def is_waiting(session: Session) -> bool:
    """Return whether any mail is still to be sent, now or later."""
    waiting = select(Notification.id).where(_waiting)
    return session.scalar(waiting.limit(1)) is not None


def _is_due(now: datetime) -> Which:
    # A time further ahead than it can be was written before the clock was set back: it counts as past.
    due = Notification.due_at
    return and_(_waiting, or_(due <= now, due > now + LONGEST_WAIT))


def claimed_by(owner: str | None) -> Which:
    """Match the mails that this owner, or any, is sending."""
    claimed = and_(IS_OPEN, Notification.state == State.SENDING)
    return and_(claimed, Notification.owner == owner) if owner else claimed


def is_expired(now: datetime) -> Which:
    """Match the mails whose claim has run out: their sender is gone, or stood still."""
    until = Notification.sending_until
    expired = or_(until <= now, until > now + LEASE + clock.CLOCKS_APART)
    return and_(claimed_by(None), expired)


def fence(owner: str, claimed: Notification) -> Which:
    """Match a claimed notification, unless it has been claimed again since.

    Also if it has become UNKNOWN or HELD meanwhile: its sender's own result counts.
    """
    states = Notification.state.in_([State.SENDING, State.UNKNOWN, State.HELD])
    mine = and_(Notification.owner == owner, Notification.attempt == claimed.attempt)
    return and_(Notification.id == claimed.id, states, mine)


def give_back(
    session: Session, which: Which, reason: str, due_at: datetime, **values: object
) -> None:
    """Make a claimed mail READY again that was certainly not sent."""
    ready: Values = {"state": State.READY, "owner": None, "reason": _stored(reason)}
    ready["slot_at"] = None
    statement = update(Notification).where(which)
    session.execute(statement.values(**ready, due_at=due_at, **values))


def mark_and_append(
    session: Session,
    which: Which,
    state: State,
    *,
    reason: str = "",
    due_at: object = None,
    **values: Any,  # noqa: ANN401 - columns
) -> Sequence[Notification]:
    """Mark as SENT, FAILED, UNKNOWN, HELD or, released, READY, append an event for each, and return them."""
    marked = {"state": state, "reason": _stored(reason), "due_at": due_at, **values}
    statement = (
        update(Notification)
        .where(which)
        .values(**marked, version=Notification.version + 1)
        .returning(Notification)
    )
    found = session.scalars(statement).all()
    for each in found:
        cause = Cause(each.trace, each.caused_by)
        event_id = append(
            session,
            _event(each),
            subject=each.order_id,
            cause=cause,
            version=each.version,
        )
        if state != State.SENT:
            each.reports = " ".join([*each.reports.split(), event_id][-MOST_REPORTS:])
    session.flush()  # who refreshes one of them would lose its reports
    return found


def mark_sent(
    session: Session,
    which: Which,
    sent_at: datetime,
    **values: Any,  # noqa: ANN401 - columns
) -> None:
    """Mark as SENT, append the event of it, and print what its customer reads once that is committed."""
    values |= {"sent_at": sent_at}
    for each in mark_and_append(session, which, State.SENT, **values):
        measure_notified(session, each.channel, sent_at, each.created_at)
        console.print_after_commit(session, each.text)


def mark_unknown(
    session: Session,
    which: Which,
    policy: Policy,
    reason: str,
    due_at: datetime | ColumnElement[datetime],
) -> None:
    """Mark what is SENDING as UNKNOWN, to be sent again when due, or as HELD, and append the event of it.

    With a key it is sent again until its outcome is known, and UNKNOWN is reported once. Without one it is
    sent again once: a server that accepts a mail and never confirms it would get it for ever.
    """
    sending = and_(which, Notification.state == State.SENDING)
    in_doubt = Notification.in_doubt_since
    since = func.coalesce(in_doubt, Notification.sending_until)
    is_held = true() if policy == "hold" else in_doubt.is_not(None)
    to_hold = and_(sending, Notification.keyed.is_(False), is_held)
    mark_and_append(session, to_hold, State.HELD, reason=reason, in_doubt_since=since)
    known = update(Notification).where(sending, in_doubt.is_not(None))
    again = {"state": State.UNKNOWN, "reason": _stored(reason), "due_at": due_at}
    session.execute(known.values(again))
    unknown: Values = {"reason": reason, "due_at": due_at, "in_doubt_since": since}
    mark_and_append(session, sending, State.UNKNOWN, **unknown)


def is_too_late(notification: Notification) -> bool:
    """Return whether the receiver may have forgotten the key since the first attempt.

    Also if that time lies ahead: the clock was set back, and nobody knows how long ago it was.
    """
    since, now = notification.in_doubt_since, clock.now()
    latest = now + LEASE + clock.CLOCKS_APART
    return since is not None and not now - KEY_KEPT < since <= latest


def release(session: Session, which: Which, by: str, reason: str) -> None:
    """Make READY again what was HELD or FAILED, as if it had never been tried, and append the event of it.

    On the console it is SENT in the same transaction. Of an erased customer, nothing is sent.
    """
    now, which = clock.now(), and_(which, Notification.erased_at.is_(None))
    released: Values = {"released_at": now, "released_by": by, "release_reason": reason}
    fresh: Values = dict.fromkeys(("owner", "in_doubt_since", "refused_since"))
    mark_and_append(session, which, State.READY, due_at=now, **released, **fresh)
    on_console = and_(which, Notification.channel == Channel.CONSOLE)
    mark_sent(session, on_console, now, attempt=Notification.attempt + 1)
    wake(session, SIGNAL)


def discard(session: Session, which: Which, by: str, reason: str) -> None:
    """Mark as DISCARDED what was not sent and never will be, and append the event of it: to others it FAILED."""
    who: Values = {"discarded_by": by, "discard_reason": reason}
    why, now = f"discarded by {by}: {reason}", clock.now()
    marked: Values = {"reason": why, "discarded_at": now, "owner": None, **who}
    mark_and_append(session, which, State.DISCARDED, **marked)


def _event(notification: Notification) -> Event:
    if notification.state == State.SENT:
        return NotificationSent.model_validate(notification)
    if notification.state == State.READY:
        return NotificationReleased.model_validate(notification)
    is_discarded = notification.state == State.DISCARDED
    failed = {
        "order_id": notification.order_id,
        "channel": notification.channel,
        "outcome": State.FAILED if is_discarded else notification.state,
        "reason": notification.reason,
        "failed_at": clock.now(),
    }
    return NotificationFailed.model_validate(failed)


def _stored(reason: str) -> str | None:
    # It is a mail server's own text.
    return without_addresses(one_line(reason))[:LONGEST_REASON] or None
