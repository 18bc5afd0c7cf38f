"""Alembic's entry to the notification service's tables."""

from chassis import migration
from services.notification.model import TABLES

migration.run(TABLES)
