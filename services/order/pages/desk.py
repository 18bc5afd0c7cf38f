"""The order desk: place an order, watch the newest travel, find any other."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Annotated
from urllib.parse import urlencode
from uuid import UUID

from fastapi import Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import Field, TypeAdapter, ValidationError
from sqlalchemy.orm import Session

from chassis.http import Line, Page, QueryModel, Read, needs
from chassis.inbox.journey import find_published
from chassis.pages import (
    Form,
    PageRouter,
    faults,
    filled,
    fragment,
    page,
    see_other,
    watch,
)
from contracts.order_created import OrderCreated
from services.order.commands.create_order import CreateOrder, create_order
from services.order.model import NotificationState
from services.order.notification_service import NotificationPart, ask_of
from services.order.views.order_journey import STAGES
from services.order.views.order_overview import (
    OrderOverview,
    OrderQuery,
    list_order_overviews,
)

router = PageRouter(Path(__file__).parents[1] / "templates", scope="orders:read")
PER_PAGE = 50
Day = Annotated[date, Field(ge=date(2000, 1, 1), lt=date(3000, 1, 1))]


class Search(QueryModel):
    """What the desk's list is searched for; `find` is a name's beginning, or an order's id."""

    find: Annotated[Line | None, Field(max_length=200)] = None
    state: NotificationState | None = None
    since: Day | None = None
    until: Day | None = None
    cursor: UUID | None = None

    def address(self, **changed: str | None) -> str:
        """Return the query of this search, with other values for some fields."""
        given = {**self.model_dump(mode="json"), **changed}
        return urlencode({name: each for name, each in given.items() if each})

    def query(self) -> OrderQuery:
        """Return what is asked of the database."""
        return OrderQuery(
            limit=PER_PAGE,
            cursor=self.cursor,
            state=self.state,
            name=self.find,
            createdFrom=_midnight(self.since),
            createdBefore=_midnight(self.until, 1),
        )


@dataclass(frozen=True)
class Row:
    """An order in the list, and how many of its stages it has reached."""

    order: OrderOverview
    reached: int

    @property
    def stage(self) -> str:
        """The stage that it has reached."""
        return STAGES[self.reached - 1]


@router.get("/")
async def get_desk(read: Read) -> Response:
    """Show the desk."""
    if (order_id := _order_id(read.query_params.get("find", ""))) is not None:
        return see_other(f"orders/{order_id}")
    return await _desk(read, {}, {})


@router.post("/")
@needs("orders:write")
async def post_desk(form: Form) -> Response:
    """Place an order, as the API does."""
    command, errors = form.parse(CreateOrder)
    if command is None:
        return await _desk(form, form.fields, errors)
    answer = await form.run(
        lambda session: create_order(command, session, form.trace, form.subject)
    )
    placed = TypeAdapter(dict[str, str]).validate_json(bytes(answer.body))
    return see_other(f"?placed={placed['orderId']}")


@router.get("/live", response_class=EventSourceResponse)
async def get_live_desk(read: Read) -> AsyncIterator[ServerSentEvent]:
    """Stream the list of a search."""
    search, _ = _search(read.query_params)
    async for each in watch(read, render_list, search):
        yield each


async def render_list(read: Read, search: Search) -> str:
    """Return the list of a search as it is now."""
    found, published = await read(lambda session: _find(search, session, read.owner))
    way = [each.order_id for each in found.items if each.order_id in published]
    parts = read.parts
    notifications = await ask_of(parts.sidecar, parts.secret, way)
    rows = [_row(each, published, notifications or {}) for each in found.items]
    return fragment(
        read,
        "orders.html",
        rows=rows,
        search=search,
        next=found.next,
        is_silent=notifications is None,
        stages=len(STAGES),
    )


async def _desk(
    read: Read, fields: Mapping[str, str], errors: dict[str, str]
) -> Response:
    search, wrong = _search(read.query_params if read.method == "GET" else {})
    return page(
        read,
        "desk.html",
        422 if errors or wrong else 200,
        fields=fields,
        errors=errors,
        search=search,
        sought=read.query_params,
        wrong=wrong,
        states=NotificationState,
        placed=_order_id(read.query_params.get("placed", "")),
        orders=await render_list(read, search),
    )


def _search(given: Mapping[str, str]) -> tuple[Search, dict[str, str]]:
    known = {name: given[name] for name in Search.model_fields if name in given}
    try:
        return Search.model_validate_strings(filled(known)), {}
    except ValidationError as error:
        return Search(), faults(error)


def _order_id(text: str) -> UUID | None:
    try:
        return UUID(text.strip())
    except ValueError:
        return None


def _find(
    search: Search, session: Session, owner: str | None
) -> tuple[Page[OrderOverview], set[UUID]]:
    found = list_order_overviews(search.query(), session, owner)
    waiting = {
        each.order_id: each.created_at
        for each in found.items
        if each.notification.state is NotificationState.WAITING
    }
    return found, find_published(session, OrderCreated.topic(), waiting)


def _row(
    order: OrderOverview,
    published: set[UUID],
    notifications: Mapping[UUID, NotificationPart],
) -> Row:
    shown, part = order.notification.state, notifications.get(order.order_id)
    if shown is NotificationState.SENT:
        return Row(order, 5)
    if part is not None and part.sent_at is not None:
        return Row(order, 4)
    if part is not None or shown is not NotificationState.WAITING:
        return Row(order, 3)
    return Row(order, 2 if order.order_id in published else 1)


def _midnight(day: date | None, later: int = 0) -> datetime | None:
    if day is None:
        return None
    return datetime.combine(day + timedelta(days=later), time.min, UTC)
