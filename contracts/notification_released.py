"""NotificationReleased, version 1: a notification that was held, or had failed, is sent after all."""

from typing import ClassVar, Literal
from uuid import UUID

from chassis.event import Delivery, Event, Timestamp


class NotificationReleased(Event):
    """An operator released a notification, and it waits to be sent; the subject is the order's id.

    The events about one notification are numbered by their aggregate version; the highest one holds.
    """

    source: ClassVar[str] = "notification"
    delivery: ClassVar[Delivery] = Delivery.PULL

    order_id: UUID
    channel: Literal["console", "email"]
    released_at: Timestamp
