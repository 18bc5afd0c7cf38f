"""On OrderCreated: a notification for its customer is made ready; the dispatcher sends it."""

from collections.abc import Sequence

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.cloud_event import CloudEvent
from chassis.database.unit_of_work import announce
from chassis.inbox.inbox import Reaction
from chassis.runtime.ids import uuid7
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
    right = notification_of(event, envelope)
    there = await _what_is_in_its_way(session, right)
    true = [each for each in there if _said(each) == _said(right)]
    for each in there:
        if each not in true:
            await session.delete(each)
    await session.flush()
    if true:
        # This event's from now on: where one had been forged that said so, its correction leaves it.
        true[0].caused_by = right.caused_by
        return
    # Another notification, with an id of its own: whoever is sending the forged one marks nothing any more,
    # and who knows mails by their ids takes this one. Of the order it is said on where that one ended.
    right.version = max((each.version for each in there), default=0)
    session.add(right)
    announce(session, signal_of(right.channel))


async def _what_is_in_its_way(
    session: AsyncSession, right: Notification
) -> Sequence[Notification]:
    its_events = Notification.caused_by == right.caused_by
    its_orders = Notification.order_id == right.order_id
    found = select(Notification).where(or_(its_events, its_orders))
    return (
        await session.scalars(found.order_by(Notification.id).with_for_update())
    ).all()


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
