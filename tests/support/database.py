"""Databases for tests, made by the services' own migrations."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from chassis import migration
from chassis.database import Database


def migrated(service: str, folder: Path) -> Database:
    """Make a service's database in this folder, at its newest migration."""
    url = f"sqlite+aiosqlite:///{folder}/{service}.db"
    # Alembic's asyncio.run wants a thread of its own where a loop is running already.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(migration.upgrade, service, url).result()
    return Database(url, service)
