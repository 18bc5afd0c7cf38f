"""What this service keeps of a customer: the orders, and the events that were published about them."""

from typing import Annotated, Any
from uuid import UUID

from pydantic import Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from chassis.http import OF_A_BODY, OPERATE, Page, Read, Router, View, refuses
from chassis.outbox import find_events
from services.order.customer import Customer
from services.order.model import Order
from services.order.views.order_overview import OrderOverview

router = Router(tags=["Customers"], scope=OPERATE)

PAGE = 200


class ExportCustomer(Customer):
    """Whose orders to export, and from where on."""

    cursor: Annotated[
        UUID | None, Field(strict=False, description="`next` of the page before")
    ] = None


class ExportedOrder(View):
    """An order with all that is stored about its customer."""

    order: OrderOverview
    event: Annotated[
        dict[str, Any] | None,
        Field(description="Its OrderCreated, if it is kept still"),
    ]


def export_customer(query: ExportCustomer, session: Session) -> Page[ExportedOrder]:
    """Return a page of a customer's orders, oldest first."""
    mine = select(Order).where(query.theirs()).order_by(Order.order_id)
    if query.cursor is not None:
        mine = mine.where(Order.order_id > query.cursor)
    found = session.scalars(mine.limit(PAGE + 1)).all()
    page = found[:PAGE]
    events = find_events(session, [each.created_event for each in page])
    items = [
        ExportedOrder(
            order=OrderOverview.model_validate(each),
            event=events.get(each.created_event),
        )
        for each in page
    ]
    return Page(items=items, next=str(page[-1].order_id) if len(found) > PAGE else None)


@router.post("/api/customer/export")
@refuses(*OF_A_BODY)
async def post_export_customer(
    query: ExportCustomer, read: Read
) -> Page[ExportedOrder]:
    """Export what is kept of a customer; a POST, as no address belongs into a URL.

    It comes a page at a time: `next` of one page is `cursor` of the next, and null on the last.
    """
    return await read(lambda session: export_customer(query, session))
