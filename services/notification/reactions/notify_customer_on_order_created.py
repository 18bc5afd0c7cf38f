"""On OrderCreated: a notification for its customer is made ready; the dispatcher sends it."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.cloud_event import CloudEvent
from chassis.database import announce
from chassis.ids import uuid7
from chassis.inbox import Reaction
from contracts.order_created import OrderCreated
from services.notification.model import Channel, Notification, State, signal_of

SAID = ("order_id", "customer_name", "customer_email", "order_created_at")
"""What a notification says, and to whom."""


async def notify_customer_on_order_created(
    event: OrderCreated, envelope: CloudEvent, session: AsyncSession
) -> None:
    """Store the notification; what a transaction cannot take back, the sending itself, comes after it."""
    notification = notification_of(event, envelope)
    session.add(notification)
    announce(session, signal_of(notification.channel))


async def correct_notification(
    event: OrderCreated, envelope: CloudEvent, session: AsyncSession
) -> None:
    """Let the customer hear what the order service says, where something forged took its place.

    What was sent for the forged one cannot be taken back, and was not said to this customer, or not so.
    """
    forged = select(Notification).where(Notification.caused_by == envelope.id)
    there = await session.scalar(forged.with_for_update())
    if there is None:
        await notify_customer_on_order_created(event, envelope, session)
        return
    right = notification_of(event, envelope)
    if _said(there) == _said(right):
        return
    for name in (*SAID, "state", "channel", "trace"):
        setattr(there, name, getattr(right, name))
    # Whoever is sending the forged one marks nothing any more.
    there.attempt, there.owner = there.attempt + 1, None
    there.due_at = there.sent_at = there.reason = None
    announce(session, signal_of(there.channel))


def _said(notification: Notification) -> list[object]:
    return [getattr(notification, name) for name in SAID]


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


reaction = Reaction(
    OrderCreated, notify_customer_on_order_created, correct=correct_notification
)
