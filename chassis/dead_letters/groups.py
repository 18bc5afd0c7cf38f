"""Groups of dead letters: those of one reaction that failed for the same reason, counted as they come and go."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Query
from pydantic import Field
from sqlalchemy import Row, select, tuple_
from sqlalchemy.orm import Session

from chassis.errors import Rejected
from chassis.event import Timestamp
from chassis.http import Limit, Page, QueryModel, View
from chassis.inbox.dead_letter import group

Fingerprint = Annotated[str, Field(examples=["1f0c9a64d3b7e852"])]
A_FINGERPRINT = r"^[0-9a-f]{16}$"


class GroupNotFound(Rejected):
    """There is no group of dead letters with this fingerprint."""

    status = 404


class Group(View):
    """The dead letters of one reaction that failed for the same reason; the numbers of settled ones are totals."""

    fingerprint: Fingerprint
    reaction: Annotated[str, Field(examples=["send_invoice_on_payment_received"])]
    reason: Annotated[str, Field(description="What the reasons have in common")]
    authentic: bool
    open: int
    replayed: int
    discarded: int
    first_at: Timestamp
    last_at: Timestamp


class GroupQuery(QueryModel):
    """Which groups to list."""

    reaction: Annotated[str | None, Query(pattern=r"^[A-Za-z0-9_-]{1,200}$")] = None
    settled: Annotated[
        bool, Query(description="Also groups of which no letter is open")
    ] = False
    limit: Limit = 50
    cursor: Annotated[
        str | None,
        Query(
            pattern=r"^[0-9]{1,17}-[0-9a-f]{16}$",
            description="`next` of the page before",
        ),
    ] = None


def list_groups(query: GroupQuery, session: Session) -> Page[Group]:
    """Return a page of groups, the one that grew last first, from after the one that the cursor names."""
    place = tuple_(group.c.last_at, group.c.fingerprint)
    newest = group.c.last_at.desc(), group.c.fingerprint.desc()
    listed = select(group).order_by(*newest).limit(query.limit + 1)
    if query.reaction is not None:
        listed = listed.where(group.c.reaction == query.reaction)
    if not query.settled:
        listed = listed.where(group.c.open > 0)
    if query.cursor is not None:
        listed = listed.where(place < tuple_(*_read(query.cursor)))
    rows = session.execute(listed).all()
    items = [Group.model_validate(row) for row in rows[: query.limit]]
    return Page(
        items=items, next=_cursor(items[-1]) if len(rows) > query.limit else None
    )


def find_group(fingerprint: str, session: Session) -> Row[Any]:
    """Return a group's row; raises GroupNotFound."""
    mine = select(group).where(group.c.fingerprint == fingerprint)
    if (found := session.execute(mine).first()) is None:
        raise GroupNotFound(f"There is no group {fingerprint[:16]!r} of dead letters.")
    return found


def _cursor(last: Group) -> str:
    return f"{int(last.last_at.timestamp() * 1_000_000)}-{last.fingerprint}"


def _read(cursor: str) -> tuple[datetime, str]:
    micros, _, fingerprint = cursor.partition("-")
    seconds, rest = divmod(int(micros), 1_000_000)
    at = datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest)
    return at, fingerprint
