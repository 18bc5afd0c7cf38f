"""A customer, as the service knows one: whoever placed the orders with one e-mail address, or one order."""

from typing import Annotated, Self
from uuid import UUID

from pydantic import Field, model_validator
from sqlalchemy import ColumnElement

from chassis.http import Address, Body
from services.order.model import Order, email_key


class Customer(Body):
    """A customer: all orders with an e-mail address, in whatever case it was written, or one order."""

    customer_email: Annotated[
        Address | None, Field(max_length=254, examples=["jane@example.org"])
    ] = None
    order_id: Annotated[UUID | None, Field(strict=False)] = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.customer_email is None) == (self.order_id is None):
            raise ValueError("either customerEmail or orderId must be given")
        return self

    def theirs(self) -> ColumnElement[bool]:
        """Match this customer's orders."""
        if self.customer_email is None:
            return Order.order_id == self.order_id
        return Order.email_key == email_key(self.customer_email)
