"""The API of dead letters, for those who run the service: list, show, replay and discard them."""

import json
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Query, Response
from pydantic import Field
from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from chassis.dead_letters.replay import (
    LARGEST_ID,
    AlreadySettled,
    DeadLetterNotFound,
    DryRun,
    NotReplayable,
    Replay,
    StillFails,
    count_attempt,
    discard,
    find,
    replay,
)
from chassis.event import Timestamp
from chassis.http import (
    Body,
    Limit,
    Line,
    Page,
    QueryModel,
    Read,
    Router,
    Unit,
    View,
    refuses,
)
from chassis.inbox import AnyReaction, Inbox
from chassis.inbox.dead_letter import State, dead_letter, one_line
from chassis.parts import Parts


class DeadLetter(View):
    """Something that a reaction could not handle, with the reason."""

    id: int
    reaction: Annotated[str, Field(examples=["notify_customer_on_order_created"])]
    reason: str
    state: State
    authentic: Annotated[
        bool,
        Field(description="Whether its signature was verified when it was received"),
    ]
    attempts: Annotated[int, Field(description="How often it was tried")]
    received_at: Timestamp
    event_id: Annotated[
        str | None,
        Field(description="The event that is handled in no other way while this holds"),
    ]
    replayed_at: Timestamp | None
    discarded_at: Timestamp | None
    discarded_by: Annotated[str | None, Field(examples=["jane"])]
    discarded_because: Annotated[str | None, Field(examples=["A test of the broker"])]
    traceparent: Annotated[
        str | None, Field(description="The W3C trace context in it, if there is one")
    ]
    body: Annotated[
        str, Field(description="What was received; what is no text is shown as \\xNN")
    ]


class Discard(Body):
    """Who discards a dead letter, and why."""

    reason: Annotated[
        Line, Field(min_length=1, max_length=1000, examples=["A test of the broker"])
    ]
    by: Annotated[Line, Field(min_length=1, max_length=200, examples=["jane"])]


class DeadLetterQuery(QueryModel):
    """Which dead letters to list."""

    state: State | None = None
    reaction: Annotated[str | None, Query(pattern=r"^[\w-]{1,200}$")] = None
    limit: Limit = 50
    cursor: Annotated[
        int | None, Query(ge=0, le=LARGEST_ID, description="`next` of the page before")
    ] = None


class ReplayQuery(QueryModel):
    """How to replay a dead letter."""

    dry_run: Annotated[
        bool, Query(description="Run the reaction, and roll back all that it did")
    ] = False


def list_dead_letters(query: DeadLetterQuery, session: Session) -> Page[DeadLetter]:
    """Return a page of dead letters, from after the one that the cursor names."""
    listed = select(dead_letter).order_by(dead_letter.c.id.desc())
    if query.state is not None:
        listed = listed.where(dead_letter.c.state == query.state)
    if query.reaction is not None:
        listed = listed.where(dead_letter.c.reaction == query.reaction)
    if query.cursor is not None:
        listed = listed.where(dead_letter.c.id < query.cursor)
    rows = session.execute(listed.limit(query.limit + 1)).all()
    items = [_shown(row) for row in rows[: query.limit]]
    more = len(rows) > query.limit
    return Page(items=items, next=str(items[-1].id) if more else None)


def _shown(row: Row[Any]) -> DeadLetter:
    body = row.body.decode(errors="backslashreplace")
    found = {**row._asdict(), "traceparent": trace_of(row.body), "body": body}
    return DeadLetter.model_validate(found)


def trace_of(body: bytes) -> str | None:
    """Return the trace that an event came with, where there is a readable one."""
    try:
        event = json.loads(body)
        trace = event.get("traceparent") or event.get("traceid")
    except (ValueError, RecursionError, AttributeError):
        return None
    return one_line(trace) if isinstance(trace, str) else None


_router = Router(tags=["Dead letters"])


def router(parts: Parts, reactions: Sequence[AnyReaction], inbox: Inbox) -> Router:
    """Return the routes of a service that has these reactions."""
    by_name = {each.name: each for each in reactions}
    made = Router(tags=["Dead letters"])
    made.routes.extend(_router.routes)

    @made.post("/api/dead-letter/{id}/replay", response_model=Replay)
    @refuses(DeadLetterNotFound, AlreadySettled, NotReplayable, StillFails)
    async def post_replay(
        id: int,  # noqa: A002 - its name on the wire
        query: Annotated[ReplayQuery, Query()],
        unit: Unit,
    ) -> Response | Replay:
        """Replay one dead letter.

        Its reaction runs again. With `dryRun=true` everything that it did is rolled back.
        """
        dry_run = query.dry_run
        try:
            return await unit.run(
                lambda session: replay(session, id, inbox, by_name, dry_run=dry_run),
                alone=True,
            )
        except DryRun as done:
            return done.result
        except StillFails:
            if not dry_run:
                await parts.database.write(lambda session: count_attempt(session, id))
            raise

    return made


@_router.get("/api/dead-letter")
async def get_dead_letters(
    query: Annotated[DeadLetterQuery, Query()], read: Read
) -> Page[DeadLetter]:
    """List dead letters, newest first.

    They come a page at a time: `next` of one page is `cursor` of the next, and null on the last.
    """
    return await read(lambda session: list_dead_letters(query, session))


@_router.get("/api/dead-letter/{id}")
@refuses(DeadLetterNotFound)
async def get_dead_letter(
    id: int,  # noqa: A002 - its name on the wire
    read: Read,
) -> DeadLetter:
    """Show one dead letter."""
    return await read(lambda session: _shown(find(session, id)))


@_router.post("/api/dead-letter/{id}/discard", response_model=DeadLetter)
@refuses(DeadLetterNotFound, AlreadySettled)
async def post_discard(
    id: int,  # noqa: A002 - its name on the wire
    command: Discard,
    unit: Unit,
) -> Response:
    """Discard one dead letter, for good.

    Who did it, when and why is stored with it. Where it holds its event's key in the inbox, that stays: the
    event is never handled, however it arrives.
    """
    who, why = command.by, command.reason
    return await unit.run(
        lambda session: _shown(discard(session, id, by=who, because=why)), alone=True
    )
