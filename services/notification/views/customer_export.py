"""What this service keeps of the customers of some orders: notifications, and dead letters of their events."""

from typing import Annotated
from uuid import UUID

from pydantic import Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from chassis.dead_letters import find_letters
from chassis.event import Timestamp
from chassis.http import OF_A_BODY, OPERATE, Body, Read, Router, View, refuses
from services.notification.model import Notification
from services.notification.views.notification_overview import NotificationOverview

router = Router(tags=["Customers"], scope=OPERATE)

Ids = Annotated[list[Annotated[UUID, Field(strict=False)]], Field(max_length=200)]


class ExportOrders(Body):
    """The orders of a customer, and the ids of their OrderCreated events, as the order service exports them."""

    order_ids: Ids
    event_ids: Ids = Field([])


class ExportedNotification(NotificationOverview):
    """A notification with all that is stored about its customer."""

    customer_name: str
    customer_email: str | None
    created_at: Timestamp
    erased_at: Timestamp | None


class ExportedLetter(View):
    """A delivery of an order's event that could not be handled."""

    id: int
    reason: str
    body: str
    edited: str | None


class Exported(View):
    """What is kept about the customers of these orders."""

    notifications: list[ExportedNotification]
    dead_letters: list[ExportedLetter]


def export_orders(query: ExportOrders, session: Session) -> Exported:
    """Return what is kept about the customers of these orders."""
    ours = Notification.order_id.in_(query.order_ids)
    found = session.scalars(select(Notification).where(ours).order_by(Notification.id))
    letters = find_letters(
        session, [*map(str, query.event_ids)], [*map(str, query.order_ids)]
    )
    return Exported(
        notifications=[ExportedNotification.model_validate(each) for each in found],
        dead_letters=[
            ExportedLetter(
                id=each.id,
                reason=each.reason,
                body=each.body.decode(errors="backslashreplace"),
                edited=each.edited,
            )
            for each in letters
        ],
    )


@router.post("/api/customer/export")
@refuses(*OF_A_BODY)
async def post_export_orders(query: ExportOrders, read: Read) -> Exported:
    """Export what is kept about the customers of some orders."""
    return await read(lambda session: export_orders(query, session))
