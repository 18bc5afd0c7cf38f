"""How a dead letter ends: it is taken in after all, or discarded by somebody, with a reason."""

from functools import partial
from typing import Any, Literal

from sqlalchemy import Row, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.database.hooks import after_rollback
from chassis.database.transient import is_away
from chassis.database.unit_of_work import keep_quiet
from chassis.errors import Rejected
from chassis.http.models import View
from chassis.inbox.dead_letter import State, dead_letter, in_one_line
from chassis.inbox.inbox import AnyReaction, claim, is_there, react, why
from chassis.inbox.parse import parse
from chassis.runtime import clock

LAST = 2**63 - 1
"""The largest number that the databases can be asked for."""

Outcome = Literal["taken in", "was taken in before"]


class Replay(View):
    """What came, or with a dry run would come, of trying a dead letter again."""

    id: int
    outcome: Outcome
    dry_run: bool


class DeadLetterNotFound(Rejected):
    """There is no dead letter with this id."""

    status = 404


class AlreadySettled(Rejected):
    """This dead letter was replayed or discarded before."""

    status = 409


class NotReplayable(Rejected):
    """This dead letter cannot be tried again."""

    status = 409


class StillFails(Rejected):
    """The dead letter was tried again, and cannot be taken in yet; only the attempt was counted."""

    status = 422


async def replay(
    session: AsyncSession,
    letter_id: int,
    reactions: dict[str, AnyReaction],
    *,
    dry_run: bool,
) -> Replay:
    """Let a dead letter's reaction try again.

    Raises DeadLetterNotFound, AlreadySettled, NotReplayable, StillFails.
    """
    letter = await _open_letter(session, letter_id)
    reaction = reactions.get(letter.reaction)
    if reaction is None:
        raise NotReplayable(f"No reaction here is called {letter.reaction}.")
    attempt = await session.begin_nested()
    try:
        is_new = await _act(session, reaction, letter)
    except Exception as error:
        if is_away(error):
            raise
        if not dry_run:
            after_rollback(session, partial(_count, letter_id=letter_id))
        raise StillFails(in_one_line(why(error))) from error
    if dry_run:
        await attempt.rollback()
        keep_quiet(session)
    else:
        await _count(session, letter_id)
        await _close(session, letter_id, state=State.REPLAYED, replayed_at=clock.now())
    outcome: Outcome = "taken in" if is_new else "was taken in before"
    return Replay(id=letter_id, outcome=outcome, dry_run=dry_run)


async def _act(session: AsyncSession, reaction: AnyReaction, letter: Row[Any]) -> bool:
    envelope, event = parse(reaction.event, letter.body)
    # Where the letter holds the event's key itself, nobody else has taken the event in; but what was forged
    # under its id may have left something. A key of another content is the feed's: it overruled the letter.
    holds = letter.event_id == envelope.id
    if holds and await is_there(session, reaction.name, envelope):
        await react(session, reaction.correct or reaction.act, envelope, event)
        return True
    is_new = await claim(session, reaction.name, envelope)
    if is_new:
        await react(session, reaction.act, envelope, event)
    return is_new


async def discard(
    session: AsyncSession, letter_id: int, *, by: str, because: str
) -> Row[Any]:
    """Decide that a dead letter is never taken in; the key that it holds in the inbox stays. Give it.

    Raises DeadLetterNotFound, AlreadySettled.
    """
    await _open_letter(session, letter_id)
    who = {"discarded_by": by, "discarded_because": because}
    now = clock.now()
    await _close(session, letter_id, state=State.DISCARDED, discarded_at=now, **who)
    return await find(session, letter_id)


async def find(session: AsyncSession, letter_id: int) -> Row[Any]:
    """Give a dead letter; raises DeadLetterNotFound."""
    return await _find(session, letter_id, locked=False)


async def _open_letter(session: AsyncSession, letter_id: int) -> Row[Any]:
    # Locked: two who settle one at the same time take turns, and the second finds it closed.
    letter = await _find(session, letter_id, locked=True)
    if letter.state != State.OPEN:
        raise AlreadySettled(f"Dead letter {letter_id} is {letter.state} already.")
    return letter


async def _find(session: AsyncSession, letter_id: int, *, locked: bool) -> Row[Any]:
    mine = select(dead_letter).where(dead_letter.c.id == letter_id)
    if locked:
        mine = mine.with_for_update()
    letter = (await session.execute(mine)).first() if 0 < letter_id <= LAST else None
    if letter is None:
        raise DeadLetterNotFound(f"There is no dead letter {letter_id}.")
    return letter


async def _close(session: AsyncSession, letter_id: int, **values: object) -> None:
    mine = update(dead_letter).where(dead_letter.c.id == letter_id)
    await session.execute(mine.values(**values))


async def _count(session: AsyncSession, letter_id: int) -> None:
    mine = update(dead_letter).where(dead_letter.c.id == letter_id)
    await session.execute(mine.values(attempts=dead_letter.c.attempts + 1))
