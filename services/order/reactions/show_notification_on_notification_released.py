"""On NotificationReleased: the order shows that its customer is still to be told."""

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.cloud_event import CloudEvent
from chassis.inbox.inbox import Reaction
from contracts.notification_released import NotificationReleased
from services.order.model import NotificationState, show_notification


async def show_notification_on_notification_released(
    event: NotificationReleased, envelope: CloudEvent, session: AsyncSession
) -> None:
    """Store that it waits again, and since when."""
    await show_notification(
        session,
        event.order_id,
        envelope.aggregateversion,
        notification_state=NotificationState.WAITING,
        notification_channel=event.channel,
        notification_at=event.released_at,
        notification_reason=None,
    )


reaction = Reaction(
    NotificationReleased, show_notification_on_notification_released, repeatable=True
)
