"""faststream-outbox on PostgreSQL: order and outbox row in one transaction, and an inbox at the other end."""

from sqlalchemy import Column, DateTime, MetaData, String, Table, Uuid
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from verification.benchmark.peers.settings import DATABASE_URL

metadata = MetaData()
orders = Table(
    "orders",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("customer_name", String(200), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
)
notifications = Table(
    "notification",
    metadata,
    Column("order_id", Uuid, primary_key=True),
    Column("customer_name", String(200), nullable=False),
    Column("sent_at", DateTime(timezone=True), nullable=False),
)


def open_engine() -> AsyncEngine:
    """Open the service's database."""
    return create_async_engine(DATABASE_URL, pool_size=20)


async def create_tables(engine: AsyncEngine) -> None:
    """Create what is not there yet."""
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
