"""The notification service's model: one notification for each order."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import Index, String, false, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from chassis.database import Utc
from chassis.errors import Rejected
from chassis.event import rfc3339

PUT_OFF = "this address has had the"
"""How the reason of a mail begins that waits for its turn (throttle.py)."""
SIGNAL = "mail"
"""What wakes the dispatcher."""


class State(StrEnum):
    """Where a notification is on its way to the customer; on the console it is SENT at once, or HELD."""

    READY = "READY"
    SENDING = "SENDING"
    SENT = "SENT"
    FAILED = "FAILED"
    UNKNOWN = "UNKNOWN"
    HELD = "HELD"
    DISCARDED = "DISCARDED"


class Channel(StrEnum):
    """How a notification reaches the customer."""

    CONSOLE = "console"
    EMAIL = "email"


class NotificationNotFound(Rejected):
    """There is no notification for an order with this id, at least not yet."""

    status = 404


class Base(DeclarativeBase):
    """The tables of this service."""


class Notification(Base):
    """The notification of one order, unique however often its event is delivered.

    Fields that have the same name in OrderCreated are copied from it.
    """

    __tablename__ = "notification"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    order_id: Mapped[UUID] = mapped_column(unique=True)
    customer_name: Mapped[str] = mapped_column(String(200))
    customer_email: Mapped[str | None] = mapped_column(String(254))
    # When the order was created.
    created_at: Mapped[datetime] = mapped_column(Utc)
    channel: Mapped[Channel] = mapped_column(String(20))
    state: Mapped[State] = mapped_column(String(20))
    # When a mail is sent next, at the earliest; null unless it is READY, SENDING or UNKNOWN.
    due_at: Mapped[datetime | None] = mapped_column(Utc)
    attempt: Mapped[int] = mapped_column(default=0)
    # Who claimed it last, and until when the claim holds.
    owner: Mapped[str | None] = mapped_column(String(64))
    sending_until: Mapped[datetime | None] = mapped_column(Utc)
    # Whether its last attempt carried a key by which the receiver deduplicates.
    keyed: Mapped[bool] = mapped_column(default=False, server_default=false())
    sent_at: Mapped[datetime | None] = mapped_column(Utc)
    reason: Mapped[str | None] = mapped_column(String(500))
    # When it left, or will at the earliest where its address had too many: throttle.py counts these.
    slot_at: Mapped[datetime | None] = mapped_column(Utc)
    # A digest of its address, however that is spelled; null until it has had a place.
    slot_of: Mapped[str | None] = mapped_column(String(32))
    # When this mail, and not the channel, was first refused.
    refused_since: Mapped[datetime | None] = mapped_column(Utc)
    # When the first attempt ended whose outcome is unknown.
    in_doubt_since: Mapped[datetime | None] = mapped_column(Utc)
    released_at: Mapped[datetime | None] = mapped_column(Utc)
    released_by: Mapped[str | None] = mapped_column(String(255))
    release_reason: Mapped[str | None] = mapped_column(String(500))
    discarded_at: Mapped[datetime | None] = mapped_column(Utc)
    discarded_by: Mapped[str | None] = mapped_column(String(255))
    discard_reason: Mapped[str | None] = mapped_column(String(500))
    # The ids of the last events that said it failed or was released; on the usual way there are none.
    reports: Mapped[str] = mapped_column(String(800), server_default="")
    # When its customer was erased: it is never sent.
    erased_at: Mapped[datetime | None] = mapped_column(Utc)
    # How many events were published about it.
    version: Mapped[int] = mapped_column(default=0, server_default="0")
    trace: Mapped[str] = mapped_column(String(200), server_default="")
    caused_by: Mapped[str] = mapped_column(String(200), server_default="")

    @property
    def text(self) -> str:
        """What the customer reads."""
        return text_of(self.order_id, self.customer_name, self.created_at)


class Decision(Base):
    """What somebody decided about all notifications in a state, or those of a reason, up to one of them."""

    __tablename__ = "decision"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    act: Mapped[str] = mapped_column(String(20))
    state: Mapped[State] = mapped_column(String(20))
    like: Mapped[str | None] = mapped_column(String(500))
    by: Mapped[str] = mapped_column(String(255))
    reason: Mapped[str] = mapped_column(String(500))
    made_at: Mapped[datetime] = mapped_column(Utc)
    # The newest notification that it is about, and the last one that was looked at.
    until: Mapped[UUID | None]
    after: Mapped[UUID | None]
    done: Mapped[int] = mapped_column(default=0)
    ended_at: Mapped[datetime | None] = mapped_column(Utc)


def text_of(order_id: UUID, customer_name: str, created_at: datetime) -> str:
    """Return what the customer of an order reads."""
    return (
        f"Notification for Order {order_id}: Dear {customer_name}, "
        f"your order was created at {rfc3339(created_at)}."
    )


# Written out: a database can match a partial index only with values that it sees in the statement.
IS_OPEN = text("state IN ('READY', 'SENDING', 'UNKNOWN')")
"""Still to be sent: only mails are."""
OF_OPERATORS = (State.HELD, State.FAILED, State.UNKNOWN, State.DISCARDED)
HAS_PLACE = text("slot_at IS NOT NULL")
IS_IN_TROUBLE = text("state IN ('FAILED', 'UNKNOWN', 'HELD', 'DISCARDED')")
"""What an operator looks for, or has decided about."""

# Mails alone have a place: what is printed on the console is in neither.
Index(
    "notification_to",
    Notification.slot_of,
    Notification.slot_at,
    sqlite_where=HAS_PLACE,
    postgresql_where=HAS_PLACE,
)
Index(
    "notification_left",
    Notification.slot_at,
    sqlite_where=HAS_PLACE,
    postgresql_where=HAS_PLACE,
)
# Few rows are either: these indexes stay small however long the table grows.
Index(
    "notification_open",
    Notification.due_at,
    Notification.id,
    sqlite_where=IS_OPEN,
    postgresql_where=IS_OPEN,
)
Index(
    "notification_in_trouble",
    Notification.state,
    Notification.id,
    sqlite_where=IS_IN_TROUBLE,
    postgresql_where=IS_IN_TROUBLE,
)
