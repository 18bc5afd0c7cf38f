"""Alembic's entry to the tables of the chassis and of the service that is built on it."""

from chassis.database import migrate

migrate.run()
