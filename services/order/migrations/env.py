"""Alembic's entry to the order service's tables."""

from chassis import migration
from services.order.model import TABLES

migration.run(TABLES)
