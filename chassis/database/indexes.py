"""Indexes on tables that services write to meanwhile; migrations build them with this.

On PostgreSQL an ordinary CREATE INDEX keeps out whoever writes until it is done. This one does not, and cannot be
part of a transaction: it has a connection of its own, and the migration that calls it does nothing else.
"""

from sqlalchemy import Connection, text

from chassis.database.engine import POOLED
from chassis.database.migrate import WrongDatabase

_PARTS = text(
    "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = to_regclass(:name)"
)


def create_index(connection: Connection, name: str, table: str, on: str) -> None:
    """Create an index, as `create_index(op.get_bind(), "outbox_colour", "outbox", "(colour, id)")`.

    One that broke off before is built anew. Raises WrongDatabase through PgBouncer.
    """
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"CREATE INDEX {name} ON {table} {on}")
        return
    if connection.get_execution_options().get(POOLED):
        raise WrongDatabase(
            "This migration builds an index, and PgBouncer ends what takes long: "
            "start once with a DATABASE_URL of the server itself."
        )
    with connection.engine.connect() as own:
        own.execution_options(isolation_level="AUTOCOMMIT")
        own.detach()
        own.exec_driver_sql("SET statement_timeout = 0")
        # Whoever asks within a transaction that has changed the table would wait for itself.
        own.exec_driver_sql("SET lock_timeout = '10min'")
        if own.execute(_PARTS, {"name": table}).first():
            _build_in_parts(own, name, table, on)
        else:
            _build(own, name, table, on)


def _build_in_parts(connection: Connection, name: str, table: str, on: str) -> None:
    connection.exec_driver_sql(f"DROP INDEX IF EXISTS {name}")
    # At first of no partition, and not valid until each has its own; one that is made meanwhile gets it by itself.
    connection.exec_driver_sql(f"CREATE INDEX {name} ON ONLY {table} {on}")
    for part in connection.scalars(_PARTS, {"name": table}).all():
        _build(connection, f"{part}_{name}", part, on)
        connection.exec_driver_sql(f"ALTER INDEX {name} ATTACH PARTITION {part}_{name}")


def _build(connection: Connection, name: str, table: str, on: str) -> None:
    connection.exec_driver_sql(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
    connection.exec_driver_sql(f"CREATE INDEX CONCURRENTLY {name} ON {table} {on}")
