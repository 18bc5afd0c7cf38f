"""On NotificationFailed: the order shows that its customer was not told, or that nobody knows."""

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.cloud_event import CloudEvent
from chassis.inbox.inbox import Reaction
from contracts.notification_failed import NotificationFailed
from services.order.model import NotificationState, show_notification


async def show_notification_on_notification_failed(
    event: NotificationFailed, envelope: CloudEvent, session: AsyncSession
) -> None:
    """Store what went wrong, and when."""
    await show_notification(
        session,
        event.order_id,
        envelope.aggregateversion,
        notification_state=NotificationState(event.outcome),
        notification_channel=event.channel,
        notification_at=event.failed_at,
        notification_reason=event.reason,
    )


reaction = Reaction(
    NotificationFailed, show_notification_on_notification_failed, repeatable=True
)
