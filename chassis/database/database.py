"""A service's database: every access is a plain synchronous function of a session, run on a thread.

The event loop never waits for the database, and a function that touches it reads like one: no `await`, no driver
of its own. On SQLite one thread writes, as SQLite has one writer; on PostgreSQL two do (docs/decisions/0012).
"""

import asyncio
import hashlib
import logging
import platform
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from contextvars import copy_context
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.orm import Session

from chassis.cloud_event import Signer
from chassis.database.engine import (
    READERS,
    WRITERS,
    is_sqlite,
    open_engine,
    sqlite_file,
)
from chassis.database.group_commit import (
    GroupCommit,
    QueuedUnit,
    without_stop_iteration,
)
from chassis.database.hooks import Act
from chassis.database.patience import Patience
from chassis.database.transient import NoAnswer

_log = logging.getLogger(__name__)
T = TypeVar("T")
Work = Callable[[Session], T]
"""A unit of work: it neither begins nor commits, has no effect outside the session, and returns plain values."""

KEPT = 1.0
"""Seconds that an idle connection stays with the writers: the pool's checks cost as much as a statement."""


class Database:
    """The service's database, its transactions, and the signals that wake its loops after a commit.

    `replica` tells apart the processes of this service on one machine: the port of its sidecar. `keys` sign
    the events that are appended to the outbox.
    """

    def __init__(
        self,
        url: str,
        service: str,
        replica: str = "",
        keys: Signer | None = None,
    ) -> None:
        self.url = url
        self.patience = Patience()
        self.engine = open_engine(url, self.patience)
        self.owner = _owner(replica)
        self.is_shared = not is_sqlite(url)
        # What every session's `info` begins with; whoever serves all units (the relay, the tracer) may add to it.
        self.info: dict[str, Any] = {"service": service, "keys": keys}
        # The connections that writers use again, and when each was last used.
        self._kept: list[tuple[Connection, float]] = []
        self._signals: dict[str, asyncio.Event] = {}
        writers = WRITERS if self.is_shared else 1
        self._writers = ThreadPoolExecutor(writers, f"{service} writer")
        self._group = GroupCommit(self._begin, self._writers, writers, self._committed)
        self.reading = 0
        self._readers = ThreadPoolExecutor(READERS, f"{service} reader")
        self._after_commits = ThreadPoolExecutor(1, f"{service} after commits")

    async def write(
        self, work: Work[T], lane: str = "", until: float | None = None
    ) -> T:
        """Run a unit of work and return its result once it is committed; whatever it raises rolls it back.

        Units of one lane that wait at the same time share a transaction (group_commit.py); without a lane it has
        one of its own, as a unit needs that locks rows or is known to fail. Never nest it, and never call
        another part (the sidecar, another service) inside it.

        It is not waited for past `until`, in the event loop's time: raises NoAnswer where it had not begun then,
        and never will; CommitFailed where it had.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        unit = QueuedUnit(work, lane, future)
        self._group.add(unit)
        if until is None:
            return await future
        timer = loop.call_at(until, self._group.give_up, unit)
        try:
            return await future
        finally:
            timer.cancel()

    def waiting(self, lane: str) -> int:
        """Return how many units of a lane wait for their transaction."""
        return self._group.waiting(lane)

    async def read(self, work: Work[T], until: float | None = None) -> T:
        """Run queries on a reader's thread, without holding up those who write.

        They are not waited for past `until`, in the event loop's time: raises NoAnswer then.
        """
        context, loop = copy_context(), asyncio.get_running_loop()
        limit = asyncio.timeout_at(until)
        self.reading += 1
        try:
            async with limit:
                return await loop.run_in_executor(
                    self._readers, lambda: context.run(self._query, work)
                )
        except TimeoutError as error:
            if limit.expired():
                raise NoAnswer from error
            raise
        finally:
            self.reading -= 1

    @contextmanager
    def _begin(self) -> Iterator[Session]:
        connection, is_sound = self._connect(), False
        try:
            # Closed, and not left as a context, which would commit once more where the unit's COMMIT has failed.
            with closing(connection.begin()), self._session(connection) as session:
                yield session
            is_sound = not connection.invalidated
        finally:
            if is_sound:
                self._kept.append((connection, monotonic()))
            else:
                connection.close()

    def _connect(self) -> Connection:
        with suppress(IndexError):
            connection, used_at = self._kept.pop()
            if monotonic() - used_at < KEPT:
                return connection
            connection.close()
        return self.engine.connect()

    def _session(self, connection: Connection) -> Session:
        info = {**self.info, "batches": {}}
        return Session(connection, expire_on_commit=False, info=info)

    def _committed(self, unit: QueuedUnit) -> None:
        for name, acts in unit.woken.items():
            for act in acts:
                act()
            self.signal(name).set()
        if unit.acts:
            loop = asyncio.get_running_loop()
            loop.run_in_executor(self._after_commits, _carry_out, unit.acts)

    def _query(self, work: Work[T]) -> T:
        with self.engine.connect() as connection:
            connection.execution_options(begin="BEGIN")
            with self._session(connection) as session:
                return without_stop_iteration(work, session)

    def lock_file(self, loop: str) -> Path:
        """Return the file whose lock a background loop holds while it works.

        On SQLite there is one such loop for each database file; on PostgreSQL one for each sidecar, and
        leases share the work among them.
        """
        if not self.is_shared:
            return Path(f"{sqlite_file(self.url)}.{loop}.lock")
        name = hashlib.sha256(f"{self.url} {self.owner}".encode()).hexdigest()[:16]
        service = self.info["service"]
        return Path(tempfile.gettempdir()) / f"{service}-{name}.{loop}.lock"

    def signal(self, name: str) -> asyncio.Event:
        """Return the event that is set after each commit that woke `name`."""
        return self._signals.setdefault(name, asyncio.Event())

    async def close(self) -> None:
        """End every thread, the last one when all that follows a commit is done; close every connection."""
        for threads in (self._readers, self._writers, self._after_commits):
            await asyncio.to_thread(threads.shutdown)
        await asyncio.to_thread(self._disconnect)

    def _disconnect(self) -> None:
        for connection, _ in self._kept:
            connection.close()
        self.engine.dispose()


def _owner(replica: str) -> str:
    owner = f"{platform.node()}:{replica}"
    # As long as the columns that store it.
    return owner if len(owner) <= 64 else hashlib.sha256(owner.encode()).hexdigest()


def _carry_out(acts: Sequence[Act]) -> None:
    for act in acts:
        try:
            act()
        except Exception:  # noqa: BLE001 - the commit stands, and the other acts follow it
            _log.exception("what follows a commit failed; the commit stands")
