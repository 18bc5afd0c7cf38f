"""Leases: an event in the table is published by one relay at a time, and only its holder marks it.

A lease is fenced by its owner and its attempt. It ends by itself, so that what a dead process held is free again.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    and_,
    bindparam,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import ReturningUpdate

from chassis.database import Utc, once_committed
from chassis.outbox.outbox import LEASE, Leased, State, is_open, outbox
from chassis.runtime import clock, logs, metrics

_log = logging.getLogger(__name__)

BATCH = 100
"""Events that are leased at once."""
MAX_REFUSALS = 5
"""After so many refusals of its own, while others were accepted, an event is parked."""
LONGEST_WAIT = timedelta(seconds=60)
"""How long a refused event waits at most before it is retried."""
LOST = timedelta(seconds=5)
"""A lease of this age that its owner knows nothing of is nobody's: its COMMIT was reported as failed."""

_columns = [outbox.c[each] for each in Leased._fields]


def _is_free() -> ColumnElement[bool]:
    # A time further ahead than it can be was written before the clock was set back: it counts as past.
    due, until, now = outbox.c.due_at, outbox.c.lease_until, bindparam("now", type_=Utc)
    is_due = or_(due.is_(None), due <= now, due > bindparam("latest_due"))
    is_lost = and_(outbox.c.owner == bindparam("by"), until <= bindparam("lost"))
    is_expired = or_(until <= now, until > bindparam("latest_lease"), is_lost)
    return or_(
        and_(outbox.c.state == State.PENDING, is_due),
        and_(outbox.c.state == State.LEASED, is_expired),
    )


def _leasing(*sequence: Column[int], limit: int) -> ReturningUpdate[Any]:
    # A CTE with FOR UPDATE is computed once: as a subquery, a nested loop might lease more than the limit.
    batch = (
        select(outbox.c.position)
        .where(is_open, _is_free())
        .order_by(*sequence)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("batch")
    )
    return (
        update(outbox)
        .where(outbox.c.position.in_(select(batch.c.position)))
        .values(
            state=State.LEASED,
            owner=bindparam("by"),
            attempt=outbox.c.attempt + 1,
            lease_until=bindparam("until"),
        )
        .returning(outbox.c.position, *_columns)
    )


# Built once: to build a statement costs more than to run it.
_WAITS = select(literal(1)).where(is_open, _is_free()).limit(1)
_LEASE = _leasing(outbox.c.position, limit=BATCH)
_PROBE = _leasing(outbox.c.attempt, outbox.c.position, limit=1)
# Whoever's lease ran out marks nothing: the events are another's by then, at a later attempt.
_MARK = update(outbox).where(
    outbox.c.event_id == bindparam("of_event"),
    outbox.c.state == State.LEASED,
    outbox.c.owner == bindparam("by"),
    outbox.c.attempt == bindparam("of_attempt"),
)
_FREE = {"state": State.PENDING, "owner": None, "lease_until": None}


def is_any_free(session: Session, owner: str, *, holds_none: bool = False) -> bool:
    """Return whether `lease` would find anything."""
    return session.scalar(_WAITS, _times(owner, holds_none=holds_none)) is not None


def lease(
    session: Session, owner: str, *, probing: bool, holds_none: bool = False
) -> list[Leased]:
    """Lease the oldest free batch; when probing, the single row with the fewest attempts.

    (Always the oldest, a single bad event could fail every probe and hold up all the others.) Where the owner
    holds none in memory, those that it has leased longer than LOST ago are free too.
    """
    times = _times(owner, holds_none=holds_none)
    rows = session.execute(_PROBE if probing else _LEASE, times).all()
    return [Leased(*row[1:]) for row in sorted(rows)]


def _times(owner: str, *, holds_none: bool) -> dict[str, Any]:
    now = clock.now()
    return {
        "by": owner,
        "now": now,
        "until": now + LEASE,
        "latest_due": now + LONGEST_WAIT,
        "latest_lease": now + LEASE + clock.CLOCKS_APART,
        "lost": now + LEASE - LOST if holds_none else now,
    }


def mark(
    session: Session, events: Sequence[Leased], refused: Mapping[str, str]
) -> None:
    """Mark events as published, or as refused, each with its reason."""
    marks = [_mark(each, refused.get(each.event_id)) for each in events]
    lost = len(marks) - session.connection().execute(_MARK, marks).rowcount
    if lost:
        losses = metrics.LEASE_LOSSES.labels("relay")
        once_committed(session, partial(losses.inc, lost))


def _mark(event: Leased, refusal: str | None) -> dict[str, Any]:
    fence = {
        "of_event": event.event_id,
        "by": event.owner,
        "of_attempt": event.attempt,
    }
    return fence | _FREE | _outcome(event, refusal)


def _outcome(event: Leased, refusal: str | None) -> dict[str, Any]:
    if refusal is None:
        return {
            "state": State.PUBLISHED,
            "published_at": clock.now(),
            "refusals": event.refusals,
            "reason": event.reason,
            "due_at": None,
        }
    refusals = event.refusals + 1
    state = State.PARKED if refusals >= MAX_REFUSALS else State.PENDING
    if state is State.PARKED:
        text = "event %s is parked after %d refusals: %s"
        ids = logs.about(event.event)
        _log.error(text, event.event_id, refusals, refusal, extra=ids)
    return {
        "state": state,
        "published_at": None,
        "refusals": refusals,
        "reason": refusal,
        "due_at": clock.now() + min(LONGEST_WAIT, timedelta(seconds=2**refusals)),
    }


def release(session: Session, owner: str | None) -> None:
    """Release what this owner has leased, or what anybody has."""
    held = and_(is_open, outbox.c.state == State.LEASED)
    if owner is not None:
        held = and_(held, outbox.c.owner == owner)
    session.execute(update(outbox).where(held).values(_FREE))
