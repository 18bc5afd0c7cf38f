"""What the order service keeps: orders."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from chassis import outbox
from chassis.database import Utc


class Base(DeclarativeBase):
    """The tables of this service."""


class Order(Base):
    """An order that was accepted."""

    __tablename__ = "orders"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    customer_name: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[datetime] = mapped_column(Utc)


TABLES = [Base.metadata, outbox.metadata]
