"""A service's own database: its units of work, what follows their commit, and which errors are transient."""

# SQLite takes this one's ON CONFLICT as it is.
from sqlalchemy.dialects.postgresql import insert

from chassis.database.database import Database
from chassis.database.engine import Utc
from chassis.database.hooks import add, after_commit, batch, once_committed, wake
from chassis.database.transient import (
    describe_refusal,
    is_data_error,
    is_unavailable,
)

__all__ = [
    "Database",
    "Utc",
    "add",
    "after_commit",
    "batch",
    "describe_refusal",
    "insert",
    "is_data_error",
    "is_unavailable",
    "once_committed",
    "wake",
]
