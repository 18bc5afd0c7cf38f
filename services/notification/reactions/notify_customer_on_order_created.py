"""On OrderCreated: a notification for its customer is made ready; the dispatcher sends it."""

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.database import announce
from chassis.ids import uuid7
from chassis.inbox import Reaction
from contracts.order_created import OrderCreated
from services.notification.model import SIGNAL, Channel, Notification, State


async def notify_customer_on_order_created(
    event: OrderCreated, session: AsyncSession
) -> None:
    """Store the notification; what a transaction cannot take back, the sending itself, comes after it."""
    session.add(
        Notification(
            id=uuid7(),
            order_id=event.order_id,
            customer_name=event.customer_name,
            order_created_at=event.created_at,
            channel=Channel.CONSOLE,
            state=State.READY,
        )
    )
    announce(session, SIGNAL)


reaction = Reaction(OrderCreated, notify_customer_on_order_created)
