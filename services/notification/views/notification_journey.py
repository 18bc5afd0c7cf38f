"""What the order service asks about its orders, with the secret of the pair: nobody else does."""

from typing import Annotated
from uuid import UUID

from fastapi import Query
from pydantic import Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from chassis.http import INTERNAL, Page, Read, Router, View
from chassis.inbox.journey import (
    Handling,
    Report,
    StoredEvent,
    find_event,
    find_handling,
    find_reports,
)
from contracts.notification_sent import NotificationSent
from services.notification.model import Notification
from services.notification.views.notification_overview import (
    NotificationOverview,
    NotificationQuery,
    list_notification_overviews,
)

router = Router(tags=["Notifications"], scope=INTERNAL, in_schema=False)

REACTION = "notify_customer_on_order_created"
"""Whose inbox says what was done about the order's event; a reaction's name is data."""


MOST = 200
"""Orders that are asked about at once."""


class NotificationJourney(View):
    """The order's event as it was received, its notification, and the events that say what became of it."""

    order_id: UUID
    received: Handling
    notification: NotificationOverview | None
    sent: StoredEvent | None
    reports: Annotated[
        list[Report],
        Field(description="The events that say it failed or was released"),
    ]


def find_notification_journey(
    order_id: UUID, event_id: UUID | None, session: Session
) -> NotificationJourney:
    """Return what is known of an order, which may be nothing yet; `event_id` is its OrderCreated's."""
    mine = select(Notification).where(Notification.order_id == order_id)
    found = session.scalar(mine)
    caused_by = found.caused_by if found and found.caused_by else str(event_id or "")
    sent_at = found.sent_at if found else None
    topic, reports = NotificationSent.topic(), found.reports.split() if found else []
    return NotificationJourney(
        order_id=order_id,
        received=find_handling(session, REACTION, caused_by),
        notification=found and NotificationOverview.model_validate(found),
        sent=sent_at and find_event(session, topic, order_id, sent_at),
        reports=find_reports(session, reports),
    )


@router.get("/internal/notification/{orderId}")
async def get_notification_journey(
    orderId: UUID,  # noqa: N803 - its name on the wire
    read: Read,
    event: Annotated[
        UUID | None,
        Query(description="The id of its OrderCreated, for an order not notified yet"),
    ] = None,
) -> NotificationJourney:
    """Show what this service knows of an order: its event, its notification, dead letters.

    200 too where it knows nothing: then the event has not arrived.
    """
    return await read(
        lambda session: find_notification_journey(orderId, event, session)
    )


@router.get("/internal/notification")
async def get_notifications_of(
    order: Annotated[list[UUID], Query(min_length=1, max_length=MOST)], read: Read
) -> Page[NotificationOverview]:
    """List the notifications of these orders, where they have one."""
    query = NotificationQuery(order=order, limit=MOST)
    return await read(lambda session: list_notification_overviews(query, session))
