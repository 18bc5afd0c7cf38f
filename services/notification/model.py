"""What the notification service keeps: notifications."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import Index, String, false
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from chassis.database.unit_of_work import Utc
from chassis.errors import Rejected
from chassis.event import rfc3339
from chassis.feed import consumers as feed_reader
from chassis.http import idempotency
from chassis.inbox import attempts as attempt
from chassis.inbox import dead_letter, inbox
from chassis.outbox import outbox
from chassis.reconciler import cursor as feed_cursor


class State(StrEnum):
    """Where a notification is on its way to the customer."""

    READY = "READY"
    SENDING = "SENDING"
    SENT = "SENT"
    FAILED = "FAILED"
    UNKNOWN = "UNKNOWN"
    HELD = "HELD"


class Channel(StrEnum):
    """How a notification goes to the customer."""

    CONSOLE = "console"
    EMAIL = "email"


def signal_of(channel: Channel) -> str:
    """Name the signal that wakes the dispatcher of a channel."""
    return f"notification on the {channel}"


class NotificationNotFound(Rejected):
    """There is no notification for an order with this id, at least not yet."""

    status = 404


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
    customer_email: Mapped[str | None] = mapped_column(String(254))
    due_at: Mapped[datetime | None] = mapped_column(Utc)
    sending_until: Mapped[datetime | None] = mapped_column(Utc)
    reason: Mapped[str | None] = mapped_column(String(500))
    # Whether it is, or was last, sent with a key that its receiver deduplicates by.
    keyed: Mapped[bool] = mapped_column(default=False, server_default=false())
    # When the first claim ended of which nobody knows whether it was sent.
    in_doubt_since: Mapped[datetime | None] = mapped_column(Utc)
    # Who released it last, and why.
    released_at: Mapped[datetime | None] = mapped_column(Utc)
    released_by: Mapped[str | None] = mapped_column(String(100))
    release_reason: Mapped[str | None] = mapped_column(String(500))
    # How often something was said of it: the version of the events about it.
    version: Mapped[int] = mapped_column(default=0, server_default="0")
    trace: Mapped[str] = mapped_column(String(200), server_default="")
    caused_by: Mapped[str] = mapped_column(String(200), server_default="")

    @property
    def text(self) -> str:
        """What the customer reads."""
        created_at = rfc3339(self.order_created_at)
        return (
            f"Notification for Order {self.order_id}: "
            f"Dear {self.customer_name}, your order was created at {created_at}."
        )


_is_open = Notification.state.in_([State.READY, State.SENDING, State.UNKNOWN])
# Only what is still to be sent: the index stays small however long the table grows.
Index(
    "notification_open",
    Notification.channel,
    Notification.id,
    sqlite_where=_is_open,
    postgresql_where=_is_open,
)

TABLES = [
    Base.metadata,
    inbox.metadata,
    dead_letter.metadata,
    attempt.metadata,
    outbox.metadata,
    feed_cursor.metadata,
    feed_reader.metadata,
    idempotency.metadata,
]
