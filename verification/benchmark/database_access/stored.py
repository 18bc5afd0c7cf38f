"""An order and its outbox row, in the shape that the services' own tables have."""

import hashlib
import hmac
import json
import secrets
import time
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    DateTime,
    FunctionElement,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class transaction_id(FunctionElement[int]):  # noqa: N801 - it stands where SQL's functions stand
    """The number of the transaction that writes a row; 0 on SQLite, whose one writer commits in order."""

    type = BigInteger()
    inherit_cache = True


@compiles(transaction_id)
def _nothing(*_: object, **__: object) -> str:
    return "0"


@compiles(transaction_id, "postgresql")
def _current(*_: object, **__: object) -> str:
    return "pg_current_xact_id()::text::bigint"


class Base(DeclarativeBase):
    """The tables."""

    # What the database fills in is not asked for: nobody reads it again in the same transaction.
    __mapper_args__ = {"eager_defaults": False}  # noqa: RUF012 - SQLAlchemy's own name


class Order(Base):
    """An order that was accepted."""

    __tablename__ = "orders"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    customer_name: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    customer_email: Mapped[str | None] = mapped_column(String(254))
    notification_state: Mapped[str] = mapped_column(
        String(20), server_default="WAITING"
    )
    notification_channel: Mapped[str | None] = mapped_column(String(20))
    notification_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    notification_reason: Mapped[str | None] = mapped_column(String(500))
    notification_version: Mapped[int] = mapped_column(server_default="0")


class OutboxRow(Base):
    """An event that is to be published."""

    __tablename__ = "outbox"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012 - SQLAlchemy's own name

    position: Mapped[int] = mapped_column(
        BigInteger().with_variant(Integer, "sqlite"), primary_key=True
    )
    transaction: Mapped[int] = mapped_column(
        BigInteger, server_default=transaction_id()
    )
    # The id tells SQLAlchemy which generated position belongs to which row: without it on SQLite, a group is
    # written row by row.
    event_id: Mapped[str] = mapped_column(
        String(200), unique=True, insert_sentinel=True
    )
    topic: Mapped[str] = mapped_column(String(200))
    event: Mapped[str] = mapped_column(Text)
    digest: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    state: Mapped[str] = mapped_column(String(20))
    attempt: Mapped[int] = mapped_column(default=0)
    refusals: Mapped[int] = mapped_column(default=0)
    reason: Mapped[str | None] = mapped_column(Text)
    owner: Mapped[str | None] = mapped_column(String(64))
    lease_until: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    due_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    published_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    created_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


_open = OutboxRow.state.in_(["PENDING", "LEASED"])
Index("outbox_open", OutboxRow.position, sqlite_where=_open, postgresql_where=_open)
Index("outbox_feed", OutboxRow.transaction, OutboxRow.position)


def facts(customer: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the columns of a new order and of its outbox row: the same work for every way."""
    now, order_id, event_id = datetime.now(UTC), _uuid7(), str(_uuid7())
    event = {
        "specversion": "1.0",
        "id": event_id,
        "source": "/order",
        "type": "OrderCreated",
        "subject": str(order_id),
        "time": now.isoformat(timespec="milliseconds"),
        "datacontenttype": "application/json",
        "dataschema": "urn:contract:OrderCreated:1",
        "traceparent": f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00",
        "correlationid": str(order_id),
        "aggregateversion": 1,
        "data": {
            "orderId": str(order_id),
            "customerName": customer,
            "createdAt": now.isoformat(),
        },
    }
    said = json.dumps(event, sort_keys=True, separators=(",", ":")).encode()
    order = {"id": order_id, "customer_name": customer, "created_at": now}
    row = {
        "event_id": event_id,
        "topic": "OrderCreated",
        "event": json.dumps(event),
        "state": "PENDING",
    }
    signature = hmac.digest(b"key", said, hashlib.sha256)
    return order, {
        **row,
        "digest": signature,
        "created_at": now,
        "attempt": 0,
        "refusals": 0,
    }


def _uuid7() -> UUID:
    random = secrets.randbits(74)
    milliseconds = time.time_ns() // 1_000_000
    return UUID(
        int=milliseconds << 80
        | 0x7 << 76
        | (random >> 62) << 64
        | 0b10 << 62
        | random & (1 << 62) - 1
    )
