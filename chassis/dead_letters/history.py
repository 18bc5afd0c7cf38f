"""What was done to a dead letter, by whom, when and why: kept as long as the letter."""

from enum import StrEnum
from typing import Annotated, Any

from fastapi import Query
from pydantic import Field
from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    insert,
    select,
)
from sqlalchemy.orm import Session

from chassis.database import Utc
from chassis.event import Timestamp
from chassis.http import Limit, Page, QueryModel, View
from chassis.runtime import clock

LARGEST_ID = 2**63 - 1
"""The largest number that the databases can be asked for."""
LONGEST_OUTCOME = 1000


class Act(StrEnum):
    """What may be done to a dead letter."""

    EDITED = "EDITED"
    DRY_RUN = "DRY_RUN"
    REPLAYED = "REPLAYED"
    FAILED = "FAILED"
    DISCARDED = "DISCARDED"
    RESTORED = "RESTORED"


metadata = MetaData()
action = Table(
    "dead_letter_action",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("letter_id", BigInteger, nullable=False),
    # Of what was done to a group, one of many.
    Column("run_id", BigInteger),
    Column("at", Utc, nullable=False),
    Column("by", String(255), nullable=False),
    Column("act", String(20), nullable=False),
    Column("because", String(1000)),
    Column("outcome", String(LONGEST_OUTCOME)),
    # Of an edit: the event's data, as JSON.
    Column("before", Text),
    Column("after", Text),
    Index("dead_letter_action_letter", "letter_id", "id"),
    Index("dead_letter_action_run", "run_id", "id"),
    sqlite_autoincrement=True,
)


class Action(View):
    """One thing that somebody did to a dead letter, and what became of it."""

    id: int
    letter_id: int
    run_id: Annotated[int | None, Field(description="The run that it was part of")]
    at: Timestamp
    by: Annotated[str, Field(examples=["jane"])]
    act: Act
    because: Annotated[str | None, Field(examples=["A test of the broker"])]
    outcome: Annotated[
        str | None, Field(description="Of a replay or a dry run", examples=["handled"])
    ]
    before: Annotated[str | None, Field(description="The data before an edit, JSON")]
    after: Annotated[str | None, Field(description="The data after an edit, JSON")]


class ActionQuery(QueryModel):
    """Which page of what was done to return."""

    limit: Limit = 50
    cursor: Annotated[
        int | None, Query(ge=0, le=LARGEST_ID, description="`next` of the page before")
    ] = None


def record(session: Session, letter_id: int, act: Act, by: str, **more: object) -> None:
    """Store that somebody did something to a letter; `more` are further columns."""
    row = {"letter_id": letter_id, "act": act, "by": by, "at": clock.now(), **more}
    session.execute(insert(action).values(row))


def list_actions(
    session: Session,
    query: ActionQuery,
    *,
    letter_id: int | None = None,
    run_id: int | None = None,
) -> Page[Action]:
    """Return a page of what was done to a letter, or in a run, newest first."""
    is_mine = (
        action.c.run_id == run_id
        if letter_id is None
        else action.c.letter_id == letter_id
    )
    listed = select(action).where(is_mine).order_by(action.c.id.desc())
    if query.cursor is not None:
        listed = listed.where(action.c.id < query.cursor)
    return _page(session.execute(listed.limit(query.limit + 1)).all(), query.limit)


def _page(rows: Any, limit: int) -> Page[Action]:  # noqa: ANN401 - rows
    items = [Action.model_validate(row) for row in rows[:limit]]
    return Page(items=items, next=str(items[-1].id) if len(rows) > limit else None)
