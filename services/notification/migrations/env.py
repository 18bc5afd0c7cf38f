"""Alembic's entry to the notification service's tables."""

from chassis.database import migrate as migration
from services.notification.model import TABLES

migration.run(TABLES)
