"""Erase events: what was received of them is emptied, and no reaction handles one of them any more."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Row, delete, select, update
from sqlalchemy.orm import Session

from chassis.dead_letters.history import Act, action, record
from chassis.dead_letters.replay import change, move
from chassis.inbox import AnyReaction, Arrival
from chassis.inbox.attempts import attempt
from chassis.inbox.dead_letter import State, dead_letter, group
from chassis.inbox.inbox import claim
from chassis.runtime import clock

BODY = b'{"erased": true}'
BY, WHY = "erasure", "its customer was erased"

_NAMES = ("id", "reaction", "state", "fingerprint", "reason", "body", "edited")
_LETTERS = select(*(dead_letter.c[each] for each in _NAMES))


def erase(
    session: Session,
    reaction: AnyReaction,
    events: Collection[str],
    subjects: Collection[str],
) -> None:
    """Erase these events, which are about these subjects, for a reaction that may not have handled them yet.

    It does not handle one of them any more, however late it is delivered: their keys in the inbox are taken. What
    handles one at this moment is waited for, so whoever calls this finds what it has stored.
    """
    claim(session, reaction.name, events, Arrival.PUSHED)
    tried = attempt.c.reaction == reaction.name, attempt.c.event_id.in_(events)
    session.execute(delete(attempt).where(*tried))
    for each in find_letters(session, events, subjects, for_update=True):
        _empty(session, each)


def find_letters(
    session: Session,
    events: Collection[str],
    subjects: Collection[str],
    *,
    for_update: bool = False,
) -> Sequence[Row[Any]]:
    """Return the letters that hold one of these events, or are not authentic and name one of these subjects."""
    holding = _LETTERS.where(dead_letter.c.event_id.in_(events))
    if for_update:
        holding = holding.order_by(dead_letter.c.id).with_for_update()
    found = [*session.execute(holding)]
    # Of what is not authentic, a sample is stored: few.
    forged = select(group.c.fingerprint).where(group.c.authentic.is_(False))
    sample = session.execute(_LETTERS.where(dead_letter.c.fingerprint.in_(forged)))
    texts = [each.encode() for each in subjects]
    named = (each for each in sample if any(text in each.body for text in texts))
    return [*found, *named]


def _empty(session: Session, letter: Row[Any]) -> None:
    edits = update(action).where(action.c.letter_id == letter.id)
    session.execute(edits.values(before=None, after=None))
    emptied = {"body": BODY, "edited": None, "reason": WHY}
    if letter.state != State.OPEN:
        change(session, letter.id, **emptied)
        return
    who = {"discarded_by": BY, "discarded_because": WHY, "discarded_at": clock.now()}
    change(session, letter.id, state=State.DISCARDED, **emptied, **who)
    move(session, letter.fingerprint, State.OPEN, State.DISCARDED)
    record(session, letter.id, Act.DISCARDED, BY, because=WHY)
