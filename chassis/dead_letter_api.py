"""Dead letters, for those who run the service: what there is, why, and trying one again."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import Field
from sqlalchemy import Row, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import ambient
from chassis.database import ReadSession, WriteSession, keep_quiet
from chassis.dead_letter import State, dead_letter
from chassis.delivered import parse
from chassis.errors import Rejected
from chassis.idempotency import KEY_REFUSALS, Idempotent, takes_a_key
from chassis.inbox import PERMANENT, AnyReaction, claim, react
from chassis.refusals import refusals
from chassis.wire import Limit, Page, View
from contracts.event import Timestamp

LAST = 2**63 - 1
"""The largest number that the databases can be asked for."""

Outcome = Literal["taken in", "was taken in before"]

router = APIRouter(tags=["Dead letters"], route_class=Idempotent)


class DeadLetter(View):
    """Something that could not be taken in, with its reason."""

    id: int
    reaction: Annotated[str, Field(examples=["notify_customer_on_order_created"])]
    reason: str
    state: State
    attempts: int
    received_at: Timestamp
    replayed_at: Timestamp | None
    body: Annotated[
        str,
        Field(
            description="What was received; bytes that are no text are shown as \\xNN"
        ),
    ]


class Replay(View):
    """What came, or with a dry run would come, of trying a dead letter again."""

    id: int
    outcome: Outcome
    dry_run: bool


class DeadLetterNotFound(Rejected):
    """There is no dead letter with this id."""

    status = 404


class NotReplayable(Rejected):
    """This dead letter cannot be tried again."""

    status = 409


class StillFails(Rejected):
    """The dead letter was tried again, and cannot be taken in yet; nothing was changed."""

    status = 422


async def list_dead_letters(
    session: AsyncSession, state: State | None, limit: int, cursor: int | None
) -> Page[DeadLetter]:
    """Give a page of dead letters, newest first, from after the one that `cursor` names."""
    newest_first = select(dead_letter).order_by(dead_letter.c.id.desc())
    if state is not None:
        newest_first = newest_first.where(dead_letter.c.state == state)
    if cursor is not None:
        newest_first = newest_first.where(dead_letter.c.id < cursor)
    rows = (await session.execute(newest_first.limit(limit + 1))).mappings().all()
    items = [
        DeadLetter.model_validate(
            {**row, "body": row["body"].decode(errors="backslashreplace")}
        )
        for row in rows[:limit]
    ]
    return Page(items=items, next=str(items[-1].id) if len(rows) > limit else None)


async def replay(
    session: AsyncSession,
    letter_id: int,
    reactions: dict[str, AnyReaction],
    *,
    dry_run: bool,
) -> Replay:
    """Let a dead letter's reaction try again; raises DeadLetterNotFound, NotReplayable, StillFails."""
    letter = await _open_letter(session, letter_id)
    reaction = reactions.get(letter.reaction)
    if reaction is None:
        raise NotReplayable(f"No reaction here is called {letter.reaction}.")
    attempt = await session.begin_nested()
    try:
        is_new = await _act(session, reaction, letter)
    except PERMANENT as error:
        raise StillFails(str(error)) from error
    if dry_run:
        await attempt.rollback()
        keep_quiet(session)
    else:
        await _close(session, letter_id)
    outcome: Outcome = "taken in" if is_new else "was taken in before"
    return Replay(id=letter_id, outcome=outcome, dry_run=dry_run)


async def _act(session: AsyncSession, reaction: AnyReaction, letter: Row[Any]) -> bool:
    envelope, event = parse(reaction.event, letter.body)
    # Where the letter holds the event's key itself, nobody else has taken the event in.
    holds = letter.event_id == envelope.id
    is_new = holds or await claim(session, reaction.name, envelope)
    if is_new:
        await react(session, reaction.act, envelope, event)
    return is_new


async def _open_letter(session: AsyncSession, letter_id: int) -> Row[Any]:
    # Locked: two who try one again at the same time take turns, and the second finds it closed.
    mine = select(dead_letter).where(dead_letter.c.id == letter_id).with_for_update()
    letter = (await session.execute(mine)).first() if 0 < letter_id <= LAST else None
    if letter is None:
        raise DeadLetterNotFound(f"There is no dead letter {letter_id}.")
    if letter.state != State.OPEN:
        raise NotReplayable(f"Dead letter {letter_id} is {letter.state} already.")
    return letter


async def _close(session: AsyncSession, letter_id: int) -> None:
    closed = {"state": State.REPLAYED, "replayed_at": ambient.now()}
    mine = update(dead_letter).where(dead_letter.c.id == letter_id)
    await session.execute(mine.values(**closed, attempts=dead_letter.c.attempts + 1))


@router.get("/api/dead-letter")
async def get_dead_letters(
    session: ReadSession,
    state: State | None = None,
    limit: Limit = 50,
    cursor: Annotated[
        int | None, Query(ge=0, le=LAST, description="`next` of the page before")
    ] = None,
) -> Page[DeadLetter]:
    """List dead letters, newest first.

    They come a page at a time: `next` of one page is `cursor` of the next, and null on the last.
    """
    return await list_dead_letters(session, state, limit, cursor)


@router.post(
    "/api/dead-letter/{id}/replay",
    responses=refusals(DeadLetterNotFound, NotReplayable, StillFails, *KEY_REFUSALS),
    dependencies=[takes_a_key],
)
async def post_replay(
    id: int,  # noqa: A002 - its name on the wire
    request: Request,
    session: WriteSession,
    dryRun: bool = False,  # noqa: FBT001, FBT002, N803
) -> Replay:
    """Try one dead letter again.

    With `dryRun=true` the reaction runs as it would, and everything that it did is taken back.
    """
    return await replay(session, id, request.app.state.reactions, dry_run=dryRun)
