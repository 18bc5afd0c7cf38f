"""The orders, and what is known of each one's notification."""

import unicodedata
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from operator import itemgetter
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Index,
    Integer,
    String,
    bindparam,
    case,
    literal,
    select,
    update,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, composite, mapped_column

from chassis.database import Utc, batch
from chassis.errors import Rejected


class NotificationState(StrEnum):
    """The state of an order's notification; WAITING until the first event about it."""

    WAITING = "WAITING"
    SENT = "SENT"
    FAILED = "FAILED"
    UNKNOWN = "UNKNOWN"
    HELD = "HELD"


@dataclass(frozen=True)
class Notification:
    """What the newest event about an order's notification said."""

    state: NotificationState
    channel: str | None = None
    at: datetime | None = None
    reason: str | None = None


class OrderUnknown(Rejected):
    """This is about an order that was never accepted here."""

    status = 404


class Base(DeclarativeBase):
    """The tables of this service."""


LONGEST_KEY = 100


def name_key(name: str) -> str:
    """Return a name as it is searched for: in whatever case and form it was typed."""
    return unicodedata.normalize("NFKC", name).casefold()[:LONGEST_KEY]


def email_key(email: str) -> str:
    """Return an address as it is searched for: many write the same one in another case."""
    return email.casefold()


def search_keys(name: str, email: str | None) -> dict[str, str | None]:
    """Return the columns by which a customer's orders are found."""
    key = email_key(email) if email else None
    return {"name_key": name_key(name), "email_key": key}


class Order(Base):
    """An order that was accepted."""

    __tablename__ = "orders"

    order_id: Mapped[UUID] = mapped_column("id", primary_key=True)
    customer_name: Mapped[str] = mapped_column(String(200))
    # Its customer's name as it is searched for; in the order of code points, so that a prefix is a range.
    name_key: Mapped[str] = mapped_column(
        String(LONGEST_KEY).with_variant(
            String(LONGEST_KEY, collation="C"), "postgresql"
        )
    )
    created_at: Mapped[datetime] = mapped_column(Utc)
    # The caller who placed it: he alone sees it. Null where there was no access control; operators see all.
    owner: Mapped[str | None] = mapped_column(String(255))
    customer_email: Mapped[str | None] = mapped_column(String(254))
    # As it is searched for.
    email_key: Mapped[str | None] = mapped_column(String(254))
    # The id of its OrderCreated.
    created_event: Mapped[str] = mapped_column(String(36))
    # When its customer was erased.
    erased_at: Mapped[datetime | None] = mapped_column(Utc)
    notification_state: Mapped[NotificationState] = mapped_column(
        String(20), server_default=NotificationState.WAITING
    )
    notification_channel: Mapped[str | None] = mapped_column(String(20))
    notification_at: Mapped[datetime | None] = mapped_column(Utc)
    notification_reason: Mapped[str | None] = mapped_column(String(500))
    # The aggregate version of the newest event: an older one that arrives late changes nothing.
    notification_version: Mapped[int] = mapped_column(server_default="0")

    notification: Mapped[Notification] = composite(
        "notification_state",
        "notification_channel",
        "notification_at",
        "notification_reason",
    )


# Written out: a database can match a partial index only with values that it sees in the statement.
IS_UNSENT = Order.notification_state != literal(
    NotificationState.SENT, literal_execute=True
)
# Most orders are SENT, so the index stays small however long the table grows.
Index(
    "orders_unsent",
    Order.notification_state,
    Order.order_id,
    sqlite_where=IS_UNSENT,
    postgresql_where=IS_UNSENT,
)
Index("orders_name", Order.name_key)
# Without access control no order has an owner, and the index costs nothing.
HAS_OWNER = Order.owner.is_not(None)
Index(
    "orders_owner",
    Order.owner,
    Order.order_id,
    sqlite_where=HAS_OWNER,
    postgresql_where=HAS_OWNER,
)
_has_email = Order.email_key.is_not(None)
Index(
    "orders_email",
    Order.email_key,
    Order.order_id,
    sqlite_where=_has_email,
    postgresql_where=_has_email,
)


class Erasure(Base):
    """Who erased a customer, when and why; not whom: the orders know only when."""

    __tablename__ = "erasure"

    id: Mapped[int] = mapped_column(
        BigInteger().with_variant(Integer, "sqlite"), primary_key=True
    )
    at: Mapped[datetime] = mapped_column(Utc)
    by: Mapped[str] = mapped_column(String(255))
    reason: Mapped[str] = mapped_column(String(1000))
    orders: Mapped[int]


_SHOW = (
    update(Order)
    .where(
        Order.order_id == bindparam("order"),
        Order.notification_version < bindparam("version"),
    )
    .values(
        notification_state=bindparam("state"),
        notification_channel=bindparam("channel"),
        notification_at=bindparam("at"),
        # One that comes after the erasure may name the customer still.
        notification_reason=case(
            (Order.erased_at.is_(None), bindparam("reason", type_=String()))
        ),
        notification_version=bindparam("version"),
    )
)


def record_notification(
    session: Session, order_id: UUID, version: int, notification: Notification
) -> None:
    """Store what an event says of an order's notification, unless a newer one came first.

    It is sent with those of the whole group, just before the commit: OrderUnknown is raised there, not here.
    """
    batch(session, _show, {"order": order_id, "version": version, **vars(notification)})


def _show(session: Session, rows: list[dict[str, Any]]) -> None:
    # In one order, or two groups that show the same orders might wait for each other.
    rows.sort(key=itemgetter("order", "version"))
    shown = session.connection().execute(_SHOW, rows).rowcount
    if shown < len(rows):  # there was a newer one, or there is no such order
        ids = {row["order"] for row in rows}
        known = select(Order.order_id).where(Order.order_id.in_(ids))
        for each in ids.difference(session.scalars(known)):
            raise OrderUnknown(f"There is no order {each} to show a notification of.")
