"""NotificationFailed, version 1: a customer was not told of an order, or nobody knows whether."""

from typing import ClassVar, Literal
from uuid import UUID

from pydantic import Field

from chassis.event import Event, Timestamp, Way


class NotificationFailed(Event):
    """A notification was not sent as it should be; subject of the CloudEvent is the order's id.

    FAILED: it was refused for good. UNKNOWN: it may or may not have arrived. HELD: it waits for an operator.
    Its aggregate version counts what was said of this notification: a later NotificationSent supersedes.
    """

    source: ClassVar[str] = "notification"
    way: ClassVar[Way] = Way.PULLED

    order_id: UUID
    channel: Literal["console", "email"]
    outcome: Literal["FAILED", "UNKNOWN", "HELD"]
    reason: str = Field(max_length=500)
    failed_at: Timestamp
