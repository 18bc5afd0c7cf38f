"""What can be asked about notifications."""

from typing import Annotated
from uuid import UUID

from fastapi import Query
from pydantic import Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from chassis.event import Timestamp
from chassis.http import Page, PageQuery, Read, Router, View, refuses
from services.notification.model import (
    IS_IN_TROUBLE,
    OF_OPERATORS,
    Channel,
    Notification,
    NotificationNotFound,
    State,
)

router = Router(tags=["Notifications"], scope="notifications:read")

EXAMPLE = (
    "Notification for Order 01a20727-ad7d-7a6d-8ffc-e0698ef24ad8: "
    "Dear Jane Doe, your order was created at 2026-01-31T08:15:30.123Z."
)


class NotificationOverview(View):
    """An order's notification: its text, and what became of it."""

    order_id: UUID
    state: Annotated[State, Field(examples=[State.SENT])]
    channel: Channel
    text: Annotated[str, Field(examples=[EXAMPLE])]
    sent_at: Timestamp | None
    attempt: Annotated[int, Field(description="How often it was tried")]
    due_at: Annotated[
        Timestamp | None, Field(description="When it is tried next, at the earliest")
    ]
    reason: Annotated[
        str | None, Field(description="Why the last attempt did not send it")
    ]
    released_at: Annotated[
        Timestamp | None, Field(description="When an operator last released it")
    ]
    released_by: str | None
    release_reason: str | None
    discarded_at: Annotated[
        Timestamp | None, Field(description="When an operator last discarded it")
    ]
    discarded_by: str | None
    discard_reason: str | None


class NotificationQuery(PageQuery):
    """Which notifications to list."""

    state: Annotated[
        State | None, Field(description="Only notifications in this state")
    ] = None
    order: Annotated[
        list[UUID] | None,
        Field(max_length=200, description="Only those of these orders"),
    ] = None


def find_notification_overview(
    order_id: UUID, session: Session
) -> NotificationOverview:
    """Return the notification for an order; raises NotificationNotFound."""
    found = session.scalar(
        select(Notification).where(Notification.order_id == order_id)
    )
    if found is None:
        raise NotificationNotFound(
            f"There is no notification for order {order_id} yet.", orderId=str(order_id)
        )
    return NotificationOverview.model_validate(found)


def list_notification_overviews(
    query: NotificationQuery, session: Session
) -> Page[NotificationOverview]:
    """Return a page of notifications, newest first, from after the one that the cursor names."""
    listed = select(Notification).order_by(Notification.id.desc())
    if query.cursor is not None:
        listed = listed.where(Notification.id < query.cursor)
    if query.state is not None:
        listed = listed.where(Notification.state == query.state)
        if query.state in {*OF_OPERATORS}:
            listed = listed.where(IS_IN_TROUBLE)  # by the small index
    if query.order:
        listed = listed.where(Notification.order_id.in_(query.order))
    found = session.scalars(listed.limit(query.limit + 1)).all()
    page = found[: query.limit]
    return Page(
        items=[NotificationOverview.model_validate(each) for each in page],
        next=str(page[-1].id) if len(found) > query.limit else None,
    )


@router.get("/api/notification/{orderId}")
@refuses(NotificationNotFound)
async def get_notification(orderId: UUID, read: Read) -> NotificationOverview:  # noqa: N803 - its name on the wire
    """Show the notification for one order."""
    return await read(lambda session: find_notification_overview(orderId, session))


@router.get("/api/notification")
async def get_notifications(
    query: Annotated[NotificationQuery, Query()], read: Read
) -> Page[NotificationOverview]:
    """List notifications, newest first.

    They come a page at a time: `next` of one page is `cursor` of the next, and null on the last.
    """
    return await read(lambda session: list_notification_overviews(query, session))
