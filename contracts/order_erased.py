"""OrderErased, version 1: what an order said of its customer was erased."""

from typing import ClassVar
from uuid import UUID

from pydantic import Field

from chassis.event import Delivery, Event, Timestamp

ERASED = "(erased)"
"""What stands in the place of a customer's name."""


class OrderErased(Event):
    """An order's customer was erased; the CloudEvent's subject is the order's id.

    Whoever stored what its OrderCreated said erases that too, and does not handle that event any more: it may
    still be under way in a broker. In the feed it no longer says who ordered.
    """

    source: ClassVar[str] = "order"
    delivery: ClassVar[Delivery] = Delivery.PULL

    order_id: UUID
    created_at: Timestamp
    created_event: UUID = Field(description="The id of its OrderCreated")
    erased_at: Timestamp
