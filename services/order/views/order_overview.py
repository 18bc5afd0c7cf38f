"""What can be asked about orders."""

from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import Query
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field
from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.orm import Session

from chassis.errors import Rejected
from chassis.event import Timestamp
from chassis.http import INTERNAL, Line, Page, PageQuery, Read, Router, View, refuses
from chassis.runtime.ids import first_id
from services.order.model import IS_UNSENT, NotificationState, Order, name_key

router = Router(tags=["Orders"], scope="orders:read")
internal = Router(tags=["Orders"], scope=INTERNAL, in_schema=False)

FEW = 1000
"""Orders that an index leads to by a name; with more, the newest orders are searched for the name."""
MOST_READ = 2000
"""Orders that are looked at for one page."""
APART = timedelta(seconds=1)
"""How far apart an order's time and that in its id may be: they are read one after the other."""
FIRST, LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(3000, 1, 1, tzinfo=UTC)
"""Before and after all orders: databases do not reckon with every time that can be written."""


def _written_as_date(given: object) -> object:
    # pydantic takes the seconds since 1970, too.
    if isinstance(given, str) and given[4:5] != "-":
        raise ValueError("must be a time as 2026-01-31T12:00:00Z")
    return given


Moment = Annotated[
    AwareDatetime,
    BeforeValidator(_written_as_date),
    AfterValidator(lambda moment: min(max(moment, FIRST), LAST)),
]
HIGHEST = "\U0010ffff"
"""The last of all characters."""


class NotificationShown(View):
    """What the newest event about an order's notification said."""

    state: Annotated[NotificationState, Field(examples=[NotificationState.SENT])]
    channel: Annotated[str | None, Field(examples=["email"])]
    at: Annotated[Timestamp | None, Field(description="When that happened")]
    reason: Annotated[str | None, Field(description="Why it was not sent")]


class OrderOverview(View):
    """One order as its customer sees it, with the state of its notification."""

    order_id: UUID
    customer_name: Annotated[str, Field(examples=["Jane Doe"])]
    customer_email: Annotated[str | None, Field(examples=["jane@example.org"])]
    created_at: Timestamp
    erased_at: Annotated[
        Timestamp | None, Field(description="When its customer was erased")
    ]
    notification: NotificationShown


class OrderQuery(PageQuery):
    """Which orders to list."""

    state: Annotated[
        NotificationState | None,
        Field(description="Only orders whose notification is in this state"),
    ] = None
    name: Annotated[
        Line | None,
        Field(max_length=200, description="Only customers whose name begins so"),
    ] = None
    created_from: Annotated[
        Moment | None, Field(description="Only orders from this time on")
    ] = None
    created_before: Annotated[
        Moment | None, Field(description="Only orders before this time")
    ] = None


class OrderNotFound(Rejected):
    """There is no order with this id."""

    status = 404


def find_order_overview(
    order_id: UUID, session: Session, owner: str | None = None
) -> OrderOverview:
    """Return one order, with an owner only if it is theirs; raises OrderNotFound."""
    order = session.get(Order, order_id)
    # Somebody else's is not there: nobody learns which orders there are.
    if order is None or owner not in {None, order.owner}:
        raise OrderNotFound(f"There is no order {order_id}.", orderId=str(order_id))
    return OrderOverview.model_validate(order)


def list_order_overviews(
    query: OrderQuery, session: Session, owner: str | None = None
) -> Page[OrderOverview]:
    """Return a page of orders, of their owner alone if there is one, from after the order that the cursor names.

    Where no index has what is asked for, MOST_READ orders are looked at: such a page may be short, and not the
    last one.
    """
    wanted = _by_reading(query, owner)
    among = _by_index(query, owner)
    named = _find_few(query.name, session) if query.name and owner is None else None
    newest_first = Order.order_id.desc()
    end: UUID | None = None
    if named is not None:
        among.append(Order.order_id.in_(named))
    elif wanted:
        ids = select(Order.order_id).where(*among).order_by(newest_first)
        end = session.scalar(ids.offset(MOST_READ - 1).limit(1))
        among = _by_index(query, owner, end)
    matching = select(Order).where(*among, *wanted).order_by(newest_first)
    found = session.scalars(matching.limit(query.limit + 1)).all()
    page = [OrderOverview.model_validate(each) for each in found[: query.limit]]
    last = page[-1].order_id if len(found) > query.limit else end
    return Page(items=page, next=str(last) if last else None)


def _by_index(
    query: OrderQuery, owner: str | None, end: UUID | None = None
) -> list[ColumnElement[bool]]:
    # An id begins with the time at which it was made, so that a range of time is a range of ids. It has one
    # bound at each end: of two, SQLite seeks by one, and reads its way to the other.
    among: list[ColumnElement[bool]] = []
    lowest, below = [end] if end else [], [query.cursor] if query.cursor else []
    if query.created_from is not None:
        lowest.append(first_id(query.created_from - APART))
        among.append(Order.created_at >= query.created_from)
    if query.created_before is not None:
        below.append(first_id(query.created_before + APART))
        among.append(Order.created_at < query.created_before)
    among += [Order.order_id >= max(lowest)] if lowest else []
    among += [Order.order_id < min(below)] if below else []
    if owner is not None:
        among.append(Order.owner == owner)
    elif query.state not in {None, NotificationState.SENT}:
        among += [Order.notification_state == query.state, IS_UNSENT]
    return among


def _by_reading(query: OrderQuery, owner: str | None) -> list[ColumnElement[bool]]:
    wanted: list[ColumnElement[bool]] = []
    if query.state is NotificationState.SENT or (query.state and owner is not None):
        wanted.append(Order.notification_state == query.state)
    if query.name is not None:
        key = name_key(query.name)
        # Not a range: no database is to sort all that have a frequent name.
        wanted.append(func.substr(Order.name_key, 1, len(key)) == key)
    return wanted


def _find_few(name: str, session: Session) -> list[UUID] | None:
    # The ids of all orders under a rare name; None where it is a frequent one.
    key = name_key(name)
    begins = and_(Order.name_key >= key, Order.name_key < f"{key}{HIGHEST}")
    # Ordered, or a database might read the table instead, in the belief that the name is frequent.
    ids = select(Order.order_id).where(begins).order_by(Order.name_key)
    found = session.scalars(ids.limit(FEW + 1)).all()
    return [*found] if len(found) <= FEW else None


@router.get("/api/order/{orderId}")
@refuses(OrderNotFound)
async def get_order(orderId: UUID, read: Read) -> OrderOverview:  # noqa: N803 - its name on the wire
    """Show one order."""
    return await read(lambda session: find_order_overview(orderId, session, read.owner))


@router.get("/api/order")
async def get_orders(
    query: Annotated[OrderQuery, Query()], read: Read
) -> Page[OrderOverview]:
    """List orders, newest first.

    They come a page at a time: `next` of one page is `cursor` of the next, and null on the last.
    """
    return await read(lambda session: list_order_overviews(query, session, read.owner))


@internal.get("/internal/order")
async def get_orders_of_all(
    query: Annotated[OrderQuery, Query()], read: Read
) -> Page[OrderOverview]:
    """List the orders of all customers, for a rebuild of the notification service."""
    return await read(lambda session: list_order_overviews(query, session, None))
