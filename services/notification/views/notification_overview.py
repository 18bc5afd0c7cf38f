"""What can be asked about notifications."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import Field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.database.unit_of_work import ReadSession
from chassis.event import Timestamp
from chassis.http.models import Limit, Page, View
from chassis.http.problems import refusals
from services.notification.model import (
    Channel,
    Notification,
    NotificationNotFound,
    State,
)

router = APIRouter(tags=["Notifications"])

EXAMPLE = (
    "Notification for Order 01a20727-ad7d-7a6d-8ffc-e0698ef24ad8: "
    "Dear Jane Doe, your order was created at 2026-01-31T08:15:30.123Z."
)


class NotificationOverview(View):
    """What became of the notification for an order, and what it says."""

    order_id: UUID
    state: Annotated[State, Field(examples=[State.SENT])]
    channel: Channel
    text: Annotated[str, Field(examples=[EXAMPLE])]
    sent_at: Timestamp | None
    attempt: Annotated[int, Field(description="How often it was tried")]
    due_at: Annotated[
        Timestamp | None, Field(description="When it is tried again, at the earliest")
    ]
    reason: Annotated[
        str | None, Field(description="Why it was not sent when it was tried last")
    ]
    released_at: Annotated[
        Timestamp | None, Field(description="When somebody released it last")
    ]
    released_by: str | None
    release_reason: str | None


async def find_notification_overview(
    order_id: UUID, session: AsyncSession
) -> NotificationOverview:
    """Give the notification for an order; raises NotificationNotFound."""
    found = await session.scalar(
        select(Notification).where(Notification.order_id == order_id)
    )
    if found is None:
        raise NotificationNotFound(
            f"There is no notification for order {order_id} yet.", orderId=str(order_id)
        )
    return NotificationOverview.model_validate(found)


async def list_notification_overviews(
    session: AsyncSession, limit: int = 50, cursor: UUID | None = None
) -> Page[NotificationOverview]:
    """Give a page of notifications, newest first, from after the one that `cursor` names."""
    newest_first = (
        select(Notification).order_by(Notification.id.desc()).limit(limit + 1)
    )
    if cursor is not None:
        newest_first = newest_first.where(Notification.id < cursor)
    found = (await session.scalars(newest_first)).all()
    items = [NotificationOverview.model_validate(each) for each in found[:limit]]
    return Page(
        items=items, next=str(found[limit - 1].id) if len(found) > limit else None
    )


@router.get("/api/notification/{orderId}", responses=refusals(NotificationNotFound))
async def get_notification(orderId: UUID, session: ReadSession) -> NotificationOverview:  # noqa: N803
    """Show the notification for one order."""
    return await find_notification_overview(orderId, session)


@router.get("/api/notification")
async def get_notifications(
    session: ReadSession,
    limit: Limit = 50,
    cursor: Annotated[
        UUID | None, Query(description="`next` of the page before")
    ] = None,
) -> Page[NotificationOverview]:
    """List notifications, newest first.

    They come a page at a time: `next` of one page is `cursor` of the next, and null on the last.
    """
    return await list_notification_overviews(session, limit, cursor)
