"""Alembic's entry to the order service's tables."""

from chassis.database import migrate as migration
from services.order.model import TABLES

migration.run(TABLES)
