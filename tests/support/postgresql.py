"""PostgreSQL for tests: one cluster for the session, and for each test a database of its own."""

import asyncio
import itertools
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from toolchain import runfile
from toolchain.machine import this_machine
from toolchain.servers import postgresql, postgresql_cluster
from toolchain.servers.postgresql_cluster import Cluster

ROLE = "tests"
MEMORY, ROOM = Path("/dev/shm"), 2**30  # noqa: S108 - the folder in it is made by mkdtemp
# No test cuts the power: what a kill leaves is in the kernel's memory, and a new start finds it there.
# A database that is just being vacuumed could be dropped by a superuser alone.
FAST = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "autovacuum": "off",
}


@dataclass
class Databases:
    """Makes databases and drops them, by one connection that a thread of its own holds.

    So it serves coroutines and plain functions alike.
    """

    folder: Path
    port: int
    _thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))
    _runner: asyncio.Runner = field(default_factory=asyncio.Runner)
    _engine: AsyncEngine | None = None
    _templates: set[str] = field(default_factory=set)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @contextmanager
    def fresh(self, template: str = "template1") -> Iterator[str]:
        """Give the URL of a new database, a copy of the template; it is dropped afterwards."""
        name = f"fresh_{next(self._numbers)}"
        self._do(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        try:
            yield self.url(name)
        finally:
            self._do(f'DROP DATABASE "{name}" WITH (FORCE)')

    def template(self, name: str, make: Callable[[str], object]) -> str:
        """Make a template by this call, which is given its URL: once in a session; give its name."""
        if name not in self._templates:
            self._do(f'CREATE DATABASE "{name}"')
            with ThreadPoolExecutor(1) as without_a_loop:
                without_a_loop.submit(make, self.url(name)).result()
            # A database to which somebody is connected cannot be copied.
            self._do(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
            self._do(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = :name",
                name=name,
            )
            self._templates.add(name)
        return name

    def url(self, database: str) -> str:
        """Give the URL of a database, for SQLAlchemy."""
        return runfile.postgresql_url(ROLE, self.port, database)

    def close(self) -> None:
        """Leave the cluster."""
        with self._thread as thread:
            if self._engine:
                thread.submit(self._runner.run, self._engine.dispose()).result()
            thread.submit(self._runner.close).result()

    def _do(self, statement: str, **values: str) -> None:
        self._thread.submit(self._runner.run, self._execute(statement, values)).result()

    async def _execute(self, statement: str, values: dict[str, str]) -> None:
        if self._engine is None:
            self._engine = create_async_engine(
                self.url("postgres"), isolation_level="AUTOCOMMIT"
            )
        async with self._engine.connect() as connection:
            await connection.execute(text(statement), values)


@contextmanager
def databases() -> Iterator[Databases]:
    """Run a cluster for tests; nothing of it is left, however this process ends."""
    programs = postgresql.provided_programs(this_machine())
    with _folder() as folder:
        cluster = Cluster(
            folder, runfile.free_port(), programs, makers=(ROLE,), settings=FAST
        )
        with postgresql_cluster.running(cluster):
            found = Databases(folder, cluster.port)
            try:
                yield found
            finally:
                found.close()


@contextmanager
def _folder() -> Iterator[Path]:
    # A copy takes 16 ms in memory, and on a busy disk half a second.
    in_memory = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM
    place = MEMORY if in_memory else Path(tempfile.gettempdir())
    folder = Path(tempfile.mkdtemp(prefix="orders-on-dapr-", dir=place))
    # Its input ends with this process, be it by a kill; the server's lock is free when that is gone too.
    remove = 'cat; exec flock "$0/lock" rm -rf "$0"'
    with subprocess.Popen(
        ["sh", "-c", remove, folder], stdin=subprocess.PIPE, start_new_session=True
    ):
        yield folder
