"""Dead letters, for those who run the service: what there is and why, trying one again, and discarding it."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.database.unit_of_work import ReadSession, WriteSession
from chassis.dead_letters.replay import (
    LAST,
    AlreadySettled,
    DeadLetterNotFound,
    NotReplayable,
    Replay,
    StillFails,
    discard,
    find,
    replay,
)
from chassis.event import Timestamp
from chassis.http.idempotency import KEY_REFUSALS, Idempotent, takes_a_key
from chassis.http.models import Body, Limit, Line, Page, View
from chassis.http.problems import refusals
from chassis.inbox.dead_letter import State, dead_letter, in_one_line

router = APIRouter(tags=["Dead letters"], route_class=Idempotent)


class DeadLetter(View):
    """Something that could not be taken in, with its reason."""

    id: int
    reaction: Annotated[str, Field(examples=["notify_customer_on_order_created"])]
    reason: str
    state: State
    attempts: Annotated[int, Field(description="How often it was tried")]
    received_at: Timestamp
    event_id: Annotated[
        str | None,
        Field(
            description="The event that is not taken in otherwise while this letter is there"
        ),
    ]
    replayed_at: Timestamp | None
    discarded_at: Timestamp | None
    discarded_by: Annotated[str | None, Field(examples=["jane"])]
    discarded_because: Annotated[str | None, Field(examples=["A test of the broker"])]
    body: Annotated[
        str,
        Field(
            description="What was received; bytes that are no text are shown as \\xNN"
        ),
    ]


class DeadLetterInFull(DeadLetter):
    """Something that could not be taken in, with its reason and its trace."""

    traceparent: Annotated[
        str | None,
        Field(
            description="The W3C trace context that the event came with, if it has one",
            examples=["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"],
        ),
    ]


class Discard(Body):
    """Who discards a dead letter, and why."""

    reason: Annotated[
        Line, Field(min_length=1, max_length=1000, examples=["A test of the broker"])
    ]
    by: Annotated[Line, Field(min_length=1, max_length=200, examples=["jane"])]


class Listed(BaseModel):
    """Which dead letters are listed, and in which order."""

    model_config = ConfigDict(frozen=True)

    state: State | None = None
    reaction: Annotated[str | None, Query(pattern=r"^[\w-]{1,200}$")] = None
    limit: Limit = 50
    cursor: Annotated[
        int | None, Query(ge=0, le=LAST, description="`next` of the page before")
    ] = None
    oldestFirst: bool = False  # noqa: N815 - its name on the wire


async def list_dead_letters(session: AsyncSession, asked: Listed) -> Page[DeadLetter]:
    """Give a page of dead letters, from after the one that the cursor names."""
    at, oldest_first = dead_letter.c.id, asked.oldestFirst
    listed = select(dead_letter).order_by(at if oldest_first else at.desc())
    if asked.state is not None:
        listed = listed.where(dead_letter.c.state == asked.state)
    if asked.reaction is not None:
        listed = listed.where(dead_letter.c.reaction == asked.reaction)
    if asked.cursor is not None:
        beyond = at > asked.cursor if oldest_first else at < asked.cursor
        listed = listed.where(beyond)
    rows = (await session.execute(listed.limit(asked.limit + 1))).all()
    items = [DeadLetter.model_validate(_shown(row)) for row in rows[: asked.limit]]
    more = len(rows) > asked.limit
    return Page(items=items, next=str(items[-1].id) if more else None)


def _shown(row: Row[Any]) -> dict[str, Any]:
    return {**row._asdict(), "body": row.body.decode(errors="backslashreplace")}


def trace_of(body: bytes) -> str | None:
    """Give the trace that an event came with; None where there is none to be read."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict):
        return None
    trace = said.get("traceparent") or said.get("traceid")
    return in_one_line(trace) if isinstance(trace, str) else None


@router.get("/api/dead-letter")
async def get_dead_letters(
    session: ReadSession, asked: Annotated[Listed, Query()]
) -> Page[DeadLetter]:
    """List dead letters, newest first, or with `oldestFirst=true` the other way.

    They come a page at a time: `next` of one page is `cursor` of the next, and null on the last.
    """
    return await list_dead_letters(session, asked)


@router.get("/api/dead-letter/{id}", responses=refusals(DeadLetterNotFound))
async def get_dead_letter(
    id: int,  # noqa: A002 - its name on the wire
    session: ReadSession,
) -> DeadLetterInFull:
    """Show one dead letter, with what was received and its trace."""
    row = await find(session, id)
    shown = {**_shown(row), "traceparent": trace_of(row.body)}
    return DeadLetterInFull.model_validate(shown)


@router.post(
    "/api/dead-letter/{id}/replay",
    responses=refusals(
        DeadLetterNotFound, AlreadySettled, NotReplayable, StillFails, *KEY_REFUSALS
    ),
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


@router.post(
    "/api/dead-letter/{id}/discard",
    responses=refusals(DeadLetterNotFound, AlreadySettled, *KEY_REFUSALS),
    dependencies=[takes_a_key],
)
async def post_discard(
    id: int,  # noqa: A002 - its name on the wire
    command: Discard,
    session: WriteSession,
) -> DeadLetter:
    """Discard one dead letter, for good.

    Who did it, when and why is kept with it. Where it holds its event's key in the inbox, that stays: the
    event is not taken in, however it comes.
    """
    row = await discard(session, id, by=command.by, because=command.reason)
    return DeadLetter.model_validate(_shown(row))
