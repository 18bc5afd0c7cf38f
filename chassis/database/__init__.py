"""A service's own database: its units of work, what follows their commit, and which errors are transient."""

from sqlalchemy.dialects.postgresql import insert  # SQLite takes its ON CONFLICT as it is

from chassis.database.engine import Utc
from chassis.database.hooks import after_commit, notify
from chassis.database.transient import is_data_error, is_unavailable
from chassis.database.unit_of_work import Database

__all__ = [
    "Database",
    "Utc",
    "after_commit",
    "insert",
    "is_data_error",
    "is_unavailable",
    "notify",
]
