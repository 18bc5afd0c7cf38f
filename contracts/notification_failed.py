"""NotificationFailed, version 1: a customer was not notified of an order, or nobody knows whether."""

from typing import ClassVar, Literal
from uuid import UUID

from pydantic import Field

from chassis.event import Delivery, Event, Timestamp


class NotificationFailed(Event):
    """A notification was not sent as it should be; the CloudEvent's subject is the order's id.

    FAILED: permanently refused. UNKNOWN: it may or may not have arrived. HELD: it waits for an operator.
    The events about one notification are numbered by their aggregate version; the highest one holds.
    """

    source: ClassVar[str] = "notification"
    delivery: ClassVar[Delivery] = Delivery.PULL

    order_id: UUID
    channel: Literal["console", "email"]
    outcome: Literal["FAILED", "UNKNOWN", "HELD"]
    reason: str = Field(max_length=500)
    failed_at: Timestamp
