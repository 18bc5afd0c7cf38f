"""The lock that a service holds while it runs, on whichever host, so that nothing rebuilds its database meanwhile.

Services hold it together, as replicas do; a rebuild holds it alone. On PostgreSQL it is an advisory lock of a
transaction that stays open on a connection of its own, which a pooler leaves to it; on SQLite, whose processes
share one machine, a lock on a file beside the database.
"""

import asyncio
import fcntl
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import IO

from sqlalchemy import Connection, func, select, text
from sqlalchemy.exc import SQLAlchemyError

from chassis.database.database import Database
from chassis.runtime import lock as files

_log = logging.getLogger(__name__)

ADVISORY_LOCK = 0x72756E73
"""The number of PostgreSQL's advisory lock: any, as long as it is always the same."""
CHECK = 5.0
"""Seconds between two looks whether the connection that holds the lock is still there."""


class InUse(Exception):
    """The service is running on this database: stop it first (its sidecar keeps running), then start again."""


@asynccontextmanager
async def in_use(database: Database) -> AsyncIterator[None]:
    """Hold the lock together with other services; wait while a rebuild holds it."""
    lock = _Lock(database)
    await _share(lock)
    # The kernel keeps a file's lock; a connection may break.
    keeping = [asyncio.create_task(_keep(lock))] if database.is_shared else []
    try:
        yield
    finally:
        for each in keeping:
            each.cancel()
        await asyncio.gather(*keeping, return_exceptions=True)
        await asyncio.to_thread(lock.release)


@asynccontextmanager
async def alone(database: Database) -> AsyncIterator[None]:
    """Hold the lock alone; raises InUse where any process holds it."""
    lock = _Lock(database)
    try:
        if not await asyncio.to_thread(lock.take, shared=False):
            raise InUse(InUse.__doc__)
        yield
    finally:
        await asyncio.to_thread(lock.release)


class _Lock:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._holder: IO[bytes] | Connection | None = None

    def take(self, *, shared: bool) -> bool:
        """Take the lock, if it is free; return whether it was."""
        self.release()
        if self._database.is_shared:
            # None of the pool's connections.
            self._holder = self._database.engine.connect()
            self._holder.detach()
            take = func.pg_try_advisory_xact_lock
            if shared:
                take = func.pg_try_advisory_xact_lock_shared
            is_taken = bool(self._holder.scalar(select(take(ADVISORY_LOCK))))
            # It has no snapshot from here on, so it holds up neither VACUUM nor an index that is built meanwhile.
            stays = "SET LOCAL idle_in_transaction_session_timeout = 0"
            self._holder.exec_driver_sql(stays)
            return is_taken
        path = self._database.lock_file("running")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._holder = path.open("ab")
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        return files.try_lock(self._holder, kind)

    def is_lost(self) -> bool:
        """Return whether the connection that held the lock is gone."""
        if not isinstance(self._holder, Connection):
            return True
        try:
            return not self._holder.scalar(text("SHOW server_version"))
        except SQLAlchemyError:
            return True

    def release(self) -> None:
        """Release the lock."""
        if isinstance(self._holder, Connection):
            # The server would release it too, but only after it has noticed that the connection is closed.
            with suppress(SQLAlchemyError):
                self._holder.rollback()
        if self._holder:
            self._holder.close()
            self._holder = None


async def _share(lock: _Lock) -> None:
    waiting = False
    while not await asyncio.to_thread(lock.take, shared=True):
        if not waiting:
            _log.warning("this database is being rebuilt; waiting for that to end")
        waiting = True
        await asyncio.sleep(1)


async def _keep(lock: _Lock) -> None:
    # A server that restarts, or a connection that breaks, releases the lock while the service goes on.
    while True:
        await asyncio.sleep(CHECK)
        if await asyncio.to_thread(lock.is_lost):
            try:
                await _share(lock)
            except SQLAlchemyError as error:
                _log.warning("the lock of a running service was lost: %s", error)
