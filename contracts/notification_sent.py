"""NotificationSent, version 1: a customer was told of an order."""

from typing import ClassVar, Literal
from uuid import UUID

from chassis.event import Event, Timestamp, Way


class NotificationSent(Event):
    """The notification for an order was sent; subject of the CloudEvent is the order's id.

    Its aggregate version counts what was said of this notification; what has a higher one supersedes.
    """

    source: ClassVar[str] = "notification"
    way: ClassVar[Way] = Way.PULLED

    order_id: UUID
    channel: Literal["console", "email"]
    sent_at: Timestamp
