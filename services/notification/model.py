"""What the notification service keeps: notifications."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import Index, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from chassis import inbox
from chassis.database import Utc
from contracts.event import rfc3339

SIGNAL = "notification"


class State(StrEnum):
    """Where a notification is on its way to the customer."""

    READY = "READY"
    SENDING = "SENDING"
    SENT = "SENT"


class Channel(StrEnum):
    """How a notification goes to the customer."""

    CONSOLE = "console"


class Base(DeclarativeBase):
    """The tables of this service."""


class Notification(Base):
    """What is to be said to the customer of an order: one for each, whatever was delivered how often."""

    __tablename__ = "notification"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    order_id: Mapped[UUID] = mapped_column(unique=True)
    customer_name: Mapped[str] = mapped_column(String(200))
    order_created_at: Mapped[datetime] = mapped_column(Utc)
    channel: Mapped[Channel] = mapped_column(String(20))
    state: Mapped[State] = mapped_column(String(20))
    attempt: Mapped[int] = mapped_column(default=0)
    owner: Mapped[str | None] = mapped_column(String(64))
    sent_at: Mapped[datetime | None] = mapped_column(Utc)

    __table_args__ = (
        # Only what is still to be sent: the index stays small however long the table grows.
        Index(
            "notification_open",
            "id",
            sqlite_where=state.in_([State.READY, State.SENDING]),
        ),
    )

    @property
    def text(self) -> str:
        """What the customer reads."""
        created_at = rfc3339(self.order_created_at)
        return (
            f"Notification for Order {self.order_id}: "
            f"Dear {self.customer_name}, your order was created at {created_at}."
        )


TABLES = [Base.metadata, inbox.metadata]
