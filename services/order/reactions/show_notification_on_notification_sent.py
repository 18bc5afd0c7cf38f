"""On NotificationSent: the order shows that its customer was told."""

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.cloud_event import CloudEvent
from chassis.inbox.inbox import Reaction
from contracts.notification_sent import NotificationSent
from services.order.model import NotificationState, show_notification


async def show_notification_on_notification_sent(
    event: NotificationSent, envelope: CloudEvent, session: AsyncSession
) -> None:
    """Store when the customer was told, and how."""
    await show_notification(
        session,
        event.order_id,
        envelope.aggregateversion,
        notification_state=NotificationState.SENT,
        notification_channel=event.channel,
        notification_at=event.sent_at,
        notification_reason=None,
    )


reaction = Reaction(
    NotificationSent, show_notification_on_notification_sent, repeatable=True
)
