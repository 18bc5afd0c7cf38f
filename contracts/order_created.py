"""OrderCreated, version 1: the order service has accepted an order."""

from typing import ClassVar
from uuid import UUID

from pydantic import Field

from chassis.event import Event, Timestamp


class OrderCreated(Event):
    """An order was accepted; the CloudEvent's subject is the order's id."""

    source: ClassVar[str] = "order"

    order_id: UUID
    customer_name: str = Field(min_length=1, max_length=200)
    customer_email: str | None = Field(None, min_length=3, max_length=254)
    created_at: Timestamp
    # Set where the customer was erased since (OrderErased): the name is no name, and nobody is notified.
    erased_at: Timestamp | None = None
