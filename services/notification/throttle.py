"""How many mails an address gets within an hour, and how many leave in a minute: what is over that waits.

Whoever may order may have mails sent to an address that somebody else owns. Each mail takes a place in time when
it is claimed; what finds none gets the next one that is free, and is due then. The places are counted in the
database, so that all replicas share them.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from sqlalchemy import ColumnElement, Row, func, or_, select, update
from sqlalchemy.orm import Session

from chassis.database import once_committed
from chassis.runtime import clock
from services.notification import outcomes
from services.notification.measures import MAILS_PUT_OFF
from services.notification.model import PUT_OFF, Notification

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
AT_ONCE = 500
"""Due mails among which those of one address are put off together: a flood to it holds up nobody else for long."""

Due = Row[UUID, str | None, datetime | None]
"""A mail that is due, locked: its id, its address, its place."""


@dataclass(frozen=True)
class Limits:
    """How many mails one address gets within an hour, and how many leave in a minute; 0 is no limit."""

    an_hour: int = 0
    a_minute: int = 0


NONE = Limits()


def claim(
    session: Session, owner: str, limits: Limits, *, keyed: bool
) -> Notification | timedelta | None:
    """Claim the mail that is due first, if it may leave; return how long none may, zero where it was put off."""
    now = clock.now()
    mail = session.execute(outcomes.due_first(now)).first()
    if mail is None:
        return None
    if limits.an_hour and mail.customer_email and not _fits(session, mail, limits, now):
        _put_off(session, mail, limits, now)
        return timedelta(0)
    if limits.a_minute and (wait := _pause(session, limits, now)) > timedelta(0):
        return wait
    place = {"slot_at": now, "slot_of": _digest(mail)}
    return outcomes.claim(session, owner, keyed=keyed, mail=mail.id, **place)


def _fits(session: Session, mail: Due, limits: Limits, now: datetime) -> bool:
    _alone(session, _digest(mail))
    # What has its place already waits for those before it alone; what is new, for all that have one.
    until = now if mail.slot_at else now + HOUR
    return _nth_newest(session, mail, limits, now, until) is None


def _pause(session: Session, limits: Limits, now: datetime) -> timedelta:
    _alone(session, "mails")
    newest = select(func.max(Notification.slot_at)).where(Notification.slot_at <= now)
    last = session.scalar(newest)
    return last + MINUTE / limits.a_minute - now if last else timedelta(0)


def _digest(mail: Due) -> str:
    address = (mail.customer_email or "").lower()
    return hashlib.sha256(f"mails to {address}".encode()).hexdigest()[:32]


def _alone(session: Session, of: str) -> None:
    # Replicas that count the same places at once would each find the last one free.
    if session.get_bind().dialect.name == "postgresql":
        lock = func.pg_advisory_xact_lock(func.hashtextextended(of, 0))
        session.execute(select(lock))


def _nth_newest(
    session: Session, mail: Due, limits: Limits, now: datetime, until: datetime
) -> datetime | None:
    # Further ahead than an hour is only what predates a clock that was set back.
    place = Notification.slot_at
    others = select(place).where(
        Notification.slot_of == _digest(mail), Notification.id != mail.id
    )
    taken = others.where(place > now - HOUR, place <= until)
    nth = taken.order_by(place.desc()).offset(limits.an_hour - 1).limit(1)
    return session.scalar(nth)


def _put_off(session: Session, mail: Due, limits: Limits, now: datetime) -> None:
    """Reserve a place for a mail; where all within an hour are taken, those to its address ask again by then."""
    which: ColumnElement[bool] = Notification.id == mail.id
    nth = _nth_newest(session, mail, limits, now, now + HOUR)
    place = nth + HOUR if nth else now
    due_at = place
    if place > now + HOUR:
        # No later than a mail may be due (outcomes.LONGEST_WAIT).
        due_at = now + HOUR * clock.jitter(0.75, 0.99)
        some = outcomes.due_first(now, AT_ONCE).cte("some")
        its_own = func.lower(some.c.customer_email) == mail.customer_email.lower()
        without_place = select(some.c.id).where(its_own, some.c.slot_at.is_(None))
        which = or_(which, Notification.id.in_(without_place))
    reason = f"{PUT_OFF} {limits.an_hour} mails that it gets within an hour"
    slot = {"slot_at": place if place == due_at else None, "slot_of": _digest(mail)}
    changed = update(Notification).where(which)
    changed = changed.values(reason=reason, due_at=due_at, **slot)
    found = session.scalars(changed.returning(Notification.id)).all()
    once_committed(session, partial(MAILS_PUT_OFF.inc, len(found)))
