"""The API of dead letters, for those who run the service: list, show, edit, replay, discard and restore them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Self

from fastapi import Query, Response
from fastapi.exceptions import RequestValidationError
from pydantic import Field
from sqlalchemy import ColumnElement, Row, select
from sqlalchemy.orm import Session

from chassis.database import Database
from chassis.dead_letters import group_api
from chassis.dead_letters.edit import Edit, InvalidEdit, NotEditable, edit
from chassis.dead_letters.groups import A_FINGERPRINT, Fingerprint
from chassis.dead_letters.history import (
    LARGEST_ID,
    Act,
    Action,
    ActionQuery,
    list_actions,
    record,
)
from chassis.dead_letters.replay import (
    AlreadySettled,
    DeadLetterNotFound,
    DryRun,
    NotDiscarded,
    NotReplayable,
    Reactions,
    Replay,
    StillFails,
    count_attempt,
    discard,
    find,
    replay,
    restore,
)
from chassis.event import Timestamp
from chassis.http import (
    OPERATE,
    Body,
    By,
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
from chassis.http.models import subject
from chassis.inbox import AnyReaction, Inbox
from chassis.inbox.dead_letter import State, dead_letter, one_line
from chassis.parts import Parts


class DeadLetter(View):
    """Something that a reaction could not handle, with the reason."""

    id: int
    reaction: Annotated[str, Field(examples=["send_invoice_on_payment_received"])]
    reason: str
    fingerprint: Annotated[Fingerprint, Field(description="Of the group that it is in")]
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
    edited: Annotated[
        str | None,
        Field(description="The data, as JSON, that it is replayed with instead"),
    ]


class Decided(View):
    """A dead letter that somebody decided about, without what is in it: answers are stored for a day."""

    id: int
    state: State
    discarded_at: Timestamp | None
    discarded_by: Annotated[str | None, Field(examples=["jane"])]
    discarded_because: Annotated[str | None, Field(examples=["A test of the broker"])]


class Discard(Body):
    """Who decides what becomes of a dead letter, and why."""

    reason: Annotated[
        Line, Field(min_length=1, max_length=1000, examples=["A test of the broker"])
    ]
    by: By


class ReplayedBy(Body):
    """Who replays a dead letter."""

    by: By


class DeadLetterQuery(QueryModel):
    """Which dead letters to list."""

    state: State | None = None
    reaction: Annotated[str | None, Query(pattern=r"^[A-Za-z0-9_-]{1,200}$")] = None
    group: Annotated[
        str | None, Query(pattern=A_FINGERPRINT, description="A group's fingerprint")
    ] = None
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
    ids = find_ids(query, session)
    page = select(dead_letter).where(dead_letter.c.id.in_(ids[: query.limit]))
    rows = session.execute(page.order_by(dead_letter.c.id.desc()))
    items = [shown(row) for row in rows]
    more = len(ids) > query.limit
    return Page(items=items, next=str(items[-1].id) if more else None)


def find_ids(query: DeadLetterQuery, session: Session) -> list[int]:
    """Return the ids of a page of dead letters, newest first, and of one more where there is one."""
    # State by state, each in the order of an index: however many letters there are, a page of each is read.
    states = [query.state] if query.state else [*State]
    found = [each for state in states for each in _ids_of(query, state, session)]
    return sorted(found, reverse=True)[: query.limit + 1]


def _ids_of(query: DeadLetterQuery, state: State, session: Session) -> Sequence[int]:
    wanted: list[ColumnElement[bool]] = [dead_letter.c.state == state]
    if query.reaction is not None:
        wanted.append(dead_letter.c.reaction == query.reaction)
    if query.group is not None:
        wanted.append(dead_letter.c.fingerprint == query.group)
    if query.cursor is not None:
        wanted.append(dead_letter.c.id < query.cursor)
    ids = select(dead_letter.c.id).where(*wanted).order_by(dead_letter.c.id.desc())
    return session.scalars(ids.limit(query.limit + 1)).all()


def shown(row: Row[Any]) -> DeadLetter:
    """Return a dead letter as it is shown."""
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


@dataclass(frozen=True)
class Letters:
    """The dead letters of a service that has these reactions, as requests replay and edit them."""

    database: Database
    inbox: Inbox
    reactions: Reactions

    @classmethod
    def of(cls, parts: Parts, inbox: Inbox, reactions: Sequence[AnyReaction]) -> Self:
        """Return the dead letters of a service."""
        return cls(parts.database, inbox, {each.name: each for each in reactions})

    async def replay(
        self, unit: Unit, letter_id: int, by: str, *, dry_run: bool
    ) -> Response | Replay:
        """Replay one letter, and record that; raises what `replay` raises, but DryRun."""

        def work(session: Session) -> Replay:
            result = replay(
                session, letter_id, self.inbox, self.reactions, dry_run=dry_run
            )
            record(session, letter_id, Act.REPLAYED, by, outcome=result.outcome)
            return result

        try:
            return await unit.run(work, alone=True)
        except DryRun as done:
            return done.result
        except StillFails as error:
            if not dry_run:
                await self._count(letter_id, by, str(error))
            raise

    async def _count(self, letter_id: int, by: str, why: str) -> None:
        def failed(session: Session) -> None:
            count_attempt(session, letter_id)
            record(session, letter_id, Act.FAILED, by, outcome=why)

        await self.database.write(failed)

    async def edit(self, unit: Unit, letter_id: int, command: Edit) -> Response:
        """Edit one letter; raises what `edit` raises."""

        def work(session: Session) -> Decided:
            edit(session, letter_id, command, self.inbox, self.reactions)
            return Decided.model_validate(find(session, letter_id))

        return await unit.run(work, alone=True)


def router(letters: Letters) -> Router:
    """Return the routes of a service that has these dead letters."""
    made = Router(tags=["Dead letters"], scope=OPERATE)
    made.routes.extend([*_router.routes, *group_api.router.routes])

    @made.post("/api/dead-letter/{id}/replay", response_model=Replay)
    @refuses(DeadLetterNotFound, AlreadySettled, NotReplayable, StillFails)
    async def post_replay(
        id: int,  # noqa: A002 - its name on the wire
        query: Annotated[ReplayQuery, Query()],
        unit: Unit,
        command: ReplayedBy | None = None,
    ) -> Response | Replay:
        """Replay one dead letter.

        Its reaction runs again. With `dryRun=true` everything that it did is rolled back; otherwise `by` is
        required, and kept.
        """
        by = _who(command, dry_run=query.dry_run)
        return await letters.replay(unit, id, by, dry_run=query.dry_run)

    @made.post("/api/dead-letter/{id}/edit", response_model=Decided)
    @refuses(
        DeadLetterNotFound, AlreadySettled, NotReplayable, NotEditable, InvalidEdit
    )
    async def post_edit(
        id: int,  # noqa: A002 - its name on the wire
        command: Edit,
        unit: Unit,
    ) -> Response:
        """Edit the data of one dead letter, with which it is replayed from then on.

        It must be what its event's contract accepts. What came is kept beside it; `null` takes an edit back.
        """
        return await letters.edit(unit, id, command)

    return made


def _who(command: ReplayedBy | None, *, dry_run: bool) -> str:
    who = command.by if command else subject.get()
    if who is None and not dry_run:
        fault = {"type": "missing", "loc": ("body", "by"), "msg": "Field required"}
        raise RequestValidationError([fault])
    return who or ""


_router = Router(tags=["Dead letters"], scope=OPERATE)


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
    return await read(lambda session: shown(find(session, id)))


@_router.get("/api/dead-letter/{id}/history")
@refuses(DeadLetterNotFound)
async def get_dead_letter_history(
    id: int,  # noqa: A002 - its name on the wire
    query: Annotated[ActionQuery, Query()],
    read: Read,
) -> Page[Action]:
    """List what was done to one dead letter, by whom and why, newest first."""

    def work(session: Session) -> Page[Action]:
        find(session, id)
        return list_actions(session, query, letter_id=id)

    return await read(work)


@_router.post("/api/dead-letter/{id}/discard", response_model=Decided)
@refuses(DeadLetterNotFound, AlreadySettled)
async def post_discard(
    id: int,  # noqa: A002 - its name on the wire
    command: Discard,
    unit: Unit,
) -> Response:
    """Discard one dead letter; it can be restored for as long as it is kept, 30 days.

    Who did it, when and why is stored with it. Where it holds its event's key in the inbox, that stays: the
    event is never handled, however it arrives.
    """
    who, why = command.by, command.reason
    return await unit.run(
        lambda session: Decided.model_validate(
            discard(session, id, by=who, because=why)
        ),
        alone=True,
    )


@_router.post("/api/dead-letter/{id}/restore", response_model=Decided)
@refuses(DeadLetterNotFound, NotDiscarded)
async def post_restore(
    id: int,  # noqa: A002 - its name on the wire
    command: Discard,
    unit: Unit,
) -> Response:
    """Open a dead letter again that was discarded."""
    who, why = command.by, command.reason
    return await unit.run(
        lambda session: Decided.model_validate(
            restore(session, id, by=who, because=why)
        ),
        alone=True,
    )
