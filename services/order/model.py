"""What the order service keeps: orders, and what it has heard of each one's notification."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import String, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from chassis.database.unit_of_work import Utc
from chassis.errors import Rejected
from chassis.feed import consumers as feed_reader
from chassis.http import idempotency
from chassis.inbox import attempts as attempt
from chassis.inbox import dead_letter, inbox
from chassis.outbox import outbox
from chassis.reconciler import cursor as feed_cursor


class NotificationState(StrEnum):
    """What is known of an order's notification; WAITING until something was heard."""

    WAITING = "WAITING"
    SENT = "SENT"
    FAILED = "FAILED"
    UNKNOWN = "UNKNOWN"
    HELD = "HELD"


class OrderUnknown(Rejected):
    """This is about an order that was never accepted here."""

    status = 404


class Base(DeclarativeBase):
    """The tables of this service."""


class Order(Base):
    """An order that was accepted."""

    __tablename__ = "orders"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    customer_name: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[datetime] = mapped_column(Utc)
    customer_email: Mapped[str | None] = mapped_column(String(254))
    notification_state: Mapped[NotificationState] = mapped_column(
        String(20), server_default=NotificationState.WAITING
    )
    notification_channel: Mapped[str | None] = mapped_column(String(20))
    notification_at: Mapped[datetime | None] = mapped_column(Utc)
    notification_reason: Mapped[str | None] = mapped_column(String(500))
    # The version of what was heard last: what comes late and is older changes nothing.
    notification_version: Mapped[int] = mapped_column(server_default="0")


async def show_notification(
    session: AsyncSession, order_id: UUID, version: int, **shown: object
) -> None:
    """Store what was heard of an order's notification, unless something newer was; raises OrderUnknown."""
    newer = update(Order).where(
        Order.id == order_id, Order.notification_version < version
    )
    statement = newer.values(**shown, notification_version=version).returning(Order.id)
    if (
        await session.scalar(statement) is None
        and await session.get(Order, order_id) is None
    ):
        raise OrderUnknown(f"There is no order {order_id} to show a notification of.")


TABLES = [
    Base.metadata,
    outbox.metadata,
    inbox.metadata,
    dead_letter.metadata,
    attempt.metadata,
    feed_cursor.metadata,
    feed_reader.metadata,
    idempotency.metadata,
]
