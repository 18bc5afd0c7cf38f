"""How a dead letter ends: it is replayed, or discarded by somebody with a reason."""

from collections.abc import Mapping
from typing import Any, Literal

from sqlalchemy import Row, select, update
from sqlalchemy.orm import Session

from chassis.database import is_unavailable
from chassis.database.hooks import run_batches
from chassis.errors import Rejected
from chassis.http import View
from chassis.inbox import AnyReaction, Arrival, Inbox
from chassis.inbox.dead_letter import State, dead_letter, one_line
from chassis.inbox.inbox import claim, describe
from chassis.inbox.parse import NotAuthentic, Received, check_age
from chassis.runtime import clock

LARGEST_ID = 2**63 - 1
"""The largest number that the databases can be asked for."""

Outcome = Literal["handled", "was handled before"]


class Replay(View):
    """The outcome of a replay; with a dry run, the outcome that it would have."""

    id: int
    outcome: Outcome
    dry_run: bool


class DryRun(Exception):
    """A dry run is complete: raised to roll its transaction back, with the result."""

    def __init__(self, result: Replay) -> None:
        super().__init__()
        self.result = result


class DeadLetterNotFound(Rejected):
    """There is no dead letter with this id."""

    status = 404


class AlreadySettled(Rejected):
    """This dead letter was replayed or discarded before."""

    status = 409


class NotReplayable(Rejected):
    """This dead letter cannot be replayed."""

    status = 409


class StillFails(Rejected):
    """The dead letter was replayed, and its reaction fails still; only the attempt was counted."""

    status = 422


def replay(
    session: Session,
    letter_id: int,
    inbox: Inbox,
    reactions: Mapping[str, AnyReaction],
    *,
    dry_run: bool,
) -> Replay:
    """Run a dead letter's reaction again; a dry run raises DryRun instead of returning.

    Raises DeadLetterNotFound, AlreadySettled, NotReplayable, StillFails.
    """
    letter = _open_letter(session, letter_id)
    reaction = reactions.get(letter.reaction)
    if reaction is None:
        raise NotReplayable(f"No reaction here is called {letter.reaction}.")
    is_new = _handle(session, letter, inbox, reaction)
    outcome: Outcome = "handled" if is_new else "was handled before"
    result = Replay(id=letter_id, outcome=outcome, dry_run=dry_run)
    if dry_run:
        raise DryRun(result)
    count_attempt(session, letter_id)
    _update(session, letter_id, state=State.REPLAYED, replayed_at=clock.now())
    return result


def _handle(
    session: Session, letter: Row[Any], inbox: Inbox, reaction: AnyReaction
) -> bool:
    try:
        envelope, event = inbox.parse(reaction, Received.of_bytes(letter.body))
        if not letter.authentic:  # nothing else was checked when it came
            check_age(envelope)
        # A letter that holds its event's key is the reason why nothing else has handled the event.
        claimed = claim(session, reaction.name, [envelope.id], Arrival.PUSHED)
        is_new = bool(claimed) or letter.event_id == envelope.id
        if is_new:
            reaction.act(event, envelope, session)
            run_batches(session)
    except NotAuthentic as error:
        raise NotReplayable(f"It is not authentic: {one_line(str(error))}.") from error
    except Exception as error:
        if is_unavailable(error):
            raise
        raise StillFails(one_line(describe(error))) from error
    return is_new


def discard(session: Session, letter_id: int, *, by: str, because: str) -> Row[Any]:
    """Discard a dead letter and return it; the key that it holds in the inbox stays.

    Raises DeadLetterNotFound, AlreadySettled.
    """
    _open_letter(session, letter_id)
    who = {"discarded_by": by, "discarded_because": because}
    now = clock.now()
    _update(session, letter_id, state=State.DISCARDED, discarded_at=now, **who)
    return find(session, letter_id)


def count_attempt(session: Session, letter_id: int) -> None:
    """Count an attempt to replay a dead letter."""
    _update(session, letter_id, attempts=dead_letter.c.attempts + 1)


def find(session: Session, letter_id: int, *, for_update: bool = False) -> Row[Any]:
    """Return a dead letter; raises DeadLetterNotFound."""
    mine = select(dead_letter).where(dead_letter.c.id == letter_id)
    if for_update:
        mine = mine.with_for_update()
    letter = session.execute(mine).first() if 0 < letter_id <= LARGEST_ID else None
    if letter is None:
        raise DeadLetterNotFound(f"There is no dead letter {letter_id}.")
    return letter


def _open_letter(session: Session, letter_id: int) -> Row[Any]:
    # Locked: two who settle one at the same time take turns, and the second finds it closed.
    letter = find(session, letter_id, for_update=True)
    if letter.state != State.OPEN:
        raise AlreadySettled(f"Dead letter {letter_id} is {letter.state} already.")
    return letter


def _update(session: Session, letter_id: int, **values: object) -> None:
    mine = update(dead_letter).where(dead_letter.c.id == letter_id)
    session.execute(mine.values(**values))
