"""How a dead letter ends: it is replayed, or discarded by somebody with a reason, which can be undone."""

import json
from collections.abc import Mapping
from typing import Any, Literal

from sqlalchemy import Row, select, update
from sqlalchemy.orm import Session

from chassis.cloud_event import CloudEvent
from chassis.database import is_unavailable
from chassis.database.hooks import run_batches
from chassis.dead_letters.history import LARGEST_ID, Act, record
from chassis.errors import Rejected
from chassis.event import Event
from chassis.http import View
from chassis.inbox import AnyReaction, Arrival, Inbox
from chassis.inbox.dead_letter import State, dead_letter, group, one_line
from chassis.inbox.inbox import claim, describe
from chassis.inbox.parse import (
    NotAuthentic,
    Received,
    authenticate,
    check_age,
    check_kind,
    event_of,
)
from chassis.inbox.tracing import REPLAYED, act
from chassis.runtime import clock

Outcome = Literal["handled", "was handled before"]
Reactions = Mapping[str, AnyReaction]


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


class NotDiscarded(Rejected):
    """Only a dead letter that was discarded can be restored."""

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
    reactions: Reactions,
    *,
    dry_run: bool,
) -> Replay:
    """Run a dead letter's reaction again; a dry run raises DryRun instead of returning.

    Raises DeadLetterNotFound, AlreadySettled, NotReplayable, StillFails.
    """
    letter = open_letter(session, letter_id)
    reaction = reaction_to(letter, reactions)
    is_new = _handle(session, letter, inbox, reaction)
    outcome: Outcome = "handled" if is_new else "was handled before"
    result = Replay(id=letter_id, outcome=outcome, dry_run=dry_run)
    if dry_run:
        raise DryRun(result)
    count_attempt(session, letter_id)
    _settle(session, letter, State.REPLAYED, replayed_at=clock.now())
    return result


def reaction_to(letter: Row[Any], reactions: Reactions) -> AnyReaction:
    """Return the reaction that a letter is for; raises NotReplayable."""
    reaction = reactions.get(letter.reaction)
    if reaction is None:
        raise NotReplayable(f"No reaction here is called {letter.reaction}.")
    return reaction


def _handle(
    session: Session, letter: Row[Any], inbox: Inbox, reaction: AnyReaction
) -> bool:
    try:
        envelope, event = _parse(letter, inbox, reaction)
        if not letter.authentic:  # nothing else was checked when it came
            check_age(envelope)
        # A letter that holds its event's key is the reason why nothing else has handled the event.
        claimed = claim(session, reaction.name, [envelope.id], Arrival.PUSHED)
        is_new = bool(claimed) or letter.event_id == envelope.id
        if is_new:
            act(session, reaction, envelope, event, REPLAYED)
            run_batches(session)
    except NotAuthentic as error:
        raise NotReplayable(f"It is not authentic: {one_line(str(error))}.") from error
    except Exception as error:
        if is_unavailable(error):
            raise
        raise StillFails(one_line(describe(error))) from error
    return is_new


def _parse(
    letter: Row[Any], inbox: Inbox, reaction: AnyReaction
) -> tuple[CloudEvent, Event]:
    received = Received.of_bytes(letter.body)
    if letter.edited is None:
        return inbox.parse(reaction, received)
    # What came is authentic still, and says which event it is; of the edit, nobody signed anything.
    envelope = authenticate(received, inbox.keys)
    check_kind(reaction.event, envelope)
    data = json.loads(letter.edited)
    return envelope.model_copy(update={"data": data}), event_of(reaction.event, data)


def discard(session: Session, letter_id: int, *, by: str, because: str) -> Row[Any]:
    """Discard a dead letter and return it; the key that it holds in the inbox stays.

    Raises DeadLetterNotFound, AlreadySettled.
    """
    letter = open_letter(session, letter_id)
    who = {"discarded_by": by, "discarded_because": because}
    _settle(session, letter, State.DISCARDED, discarded_at=clock.now(), **who)
    record(session, letter_id, Act.DISCARDED, by, because=because)
    return find(session, letter_id)


def restore(session: Session, letter_id: int, *, by: str, because: str) -> Row[Any]:
    """Open a discarded letter again and return it; raises DeadLetterNotFound, NotDiscarded."""
    letter = find(session, letter_id, for_update=True)
    if letter.state != State.DISCARDED:
        raise NotDiscarded(f"Dead letter {letter_id} is {letter.state}.")
    who = ("discarded_at", "discarded_by", "discarded_because")
    change(session, letter_id, state=State.OPEN, **dict.fromkeys(who))
    move(session, letter.fingerprint, State.DISCARDED, State.OPEN)
    record(session, letter_id, Act.RESTORED, by, because=because)
    return find(session, letter_id)


def count_attempt(session: Session, letter_id: int) -> None:
    """Count an attempt to replay a dead letter."""
    change(session, letter_id, attempts=dead_letter.c.attempts + 1)


def find(session: Session, letter_id: int, *, for_update: bool = False) -> Row[Any]:
    """Return a dead letter; raises DeadLetterNotFound."""
    mine = select(dead_letter).where(dead_letter.c.id == letter_id)
    if for_update:
        mine = mine.with_for_update()
    letter = session.execute(mine).first() if 0 < letter_id <= LARGEST_ID else None
    if letter is None:
        raise DeadLetterNotFound(f"There is no dead letter {letter_id}.")
    return letter


def open_letter(session: Session, letter_id: int) -> Row[Any]:
    """Lock a letter that is open, and return it; raises DeadLetterNotFound, AlreadySettled.

    Of two who settle one at the same time, the second finds it closed.
    """
    letter = find(session, letter_id, for_update=True)
    if letter.state != State.OPEN:
        raise AlreadySettled(f"Dead letter {letter_id} is {letter.state} already.")
    return letter


def _settle(session: Session, letter: Row[Any], state: State, **values: object) -> None:
    change(session, letter.id, state=state, **values)
    move(session, letter.fingerprint, State.OPEN, state)


def move(
    session: Session, fingerprint: str, before: State, after: State, number: int = 1
) -> None:
    """Count in their group that so many letters went from one state to another."""
    columns = {each: group.c[each.lower()] for each in State}
    values = {
        columns[before]: columns[before] - number,
        columns[after]: columns[after] + number,
    }
    mine = update(group).where(group.c.fingerprint == fingerprint)
    session.execute(mine.values(values))


def change(session: Session, letter_id: int, **values: object) -> None:
    """Change columns of a letter."""
    mine = update(dead_letter).where(dead_letter.c.id == letter_id)
    session.execute(mine.values(**values))
