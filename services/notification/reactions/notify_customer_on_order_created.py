"""On OrderCreated: a notification for its customer is made ready; the dispatcher sends it."""

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.cloud_event import CloudEvent
from chassis.database import announce
from chassis.ids import uuid7
from chassis.inbox import Reaction
from contracts.order_created import OrderCreated
from services.notification.model import Channel, Notification, State, signal_of


async def notify_customer_on_order_created(
    event: OrderCreated, envelope: CloudEvent, session: AsyncSession
) -> None:
    """Store the notification; what a transaction cannot take back, the sending itself, comes after it."""
    notification = notification_of(event, envelope)
    session.add(notification)
    announce(session, signal_of(notification.channel))


def notification_of(event: OrderCreated, envelope: CloudEvent) -> Notification:
    """Make what is to be said to the customer of an order, ready to be sent."""
    return Notification(
        id=uuid7(),
        order_id=event.order_id,
        customer_name=event.customer_name,
        customer_email=event.customer_email,
        order_created_at=event.created_at,
        channel=Channel.EMAIL if event.customer_email else Channel.CONSOLE,
        state=State.READY,
        trace=envelope.traceparent,
        caused_by=envelope.id,
    )


reaction = Reaction(OrderCreated, notify_customer_on_order_created)
