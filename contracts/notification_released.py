"""NotificationReleased, version 1: a notification that was held, or had failed, is sent after all."""

from typing import ClassVar, Literal
from uuid import UUID

from chassis.event import Event, Timestamp, Way


class NotificationReleased(Event):
    """An operator released a notification, and it waits to be sent; subject is the order's id.

    Its aggregate version counts what was said of this notification; what has a higher one supersedes.
    """

    source: ClassVar[str] = "notification"
    way: ClassVar[Way] = Way.PULLED

    order_id: UUID
    channel: Literal["console", "email"]
    released_at: Timestamp
