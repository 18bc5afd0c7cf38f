"""NotificationSent, version 1: a customer was notified of an order."""

from typing import ClassVar, Literal
from uuid import UUID

from chassis.event import Delivery, Event, Timestamp


class NotificationSent(Event):
    """The notification for an order was sent; the CloudEvent's subject is the order's id.

    The events about one notification are numbered by their aggregate version; the highest one holds.
    """

    source: ClassVar[str] = "notification"
    delivery: ClassVar[Delivery] = Delivery.PULL

    order_id: UUID
    channel: Literal["console", "email"]
    sent_at: Timestamp
