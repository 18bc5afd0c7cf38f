"""PostgreSQL for tests: one cluster for the session, and for each test a database of its own."""

import itertools
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import create_engine, text

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
    """Creates databases and drops them."""

    folder: Path
    port: int
    _templates: set[str] = field(default_factory=set)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        """Open the engine that creates and drops databases, and no other statement."""
        self._engine = create_engine(
            self._url("postgres", "postgresql+psycopg"), isolation_level="AUTOCOMMIT"
        )

    @contextmanager
    def fresh(self, template: str = "template1") -> Iterator[str]:
        """Yield the URL of a new database, a copy of the template; drop it afterwards."""
        name = f"fresh_{next(self._numbers)}"
        self._do(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        try:
            yield self.url(name)
        finally:
            self._do(f'DROP DATABASE "{name}" WITH (FORCE)')

    def template(self, name: str, make: Callable[[str], object]) -> str:
        """Make a template by this call, which is given its URL, once in a session; return its name."""
        if name not in self._templates:
            self._do(f'CREATE DATABASE "{name}"')
            make(self.url(name))
            # A database to which somebody is connected cannot be copied.
            self._do(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
            self._do(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = :name",
                name=name,
            )
            self._templates.add(name)
        return name

    def url(self, database: str) -> str:
        """Return the URL of a database, as a setting has it."""
        return self._url(database, "postgresql")

    def _url(self, database: str, scheme: str) -> str:
        return f"{scheme}://{ROLE}@127.0.0.1:{self.port}/{database}"

    def close(self) -> None:
        """Disconnect from the cluster."""
        self._engine.dispose()

    def _do(self, statement: str, **values: str) -> None:
        with self._engine.connect() as connection:
            connection.execute(text(statement), values)


@contextmanager
def databases(settings: Mapping[str, str] = FAST) -> Iterator[Databases]:
    """Run a cluster for tests; nothing of it is left, however this process ends."""
    programs = postgresql.provided_programs(this_machine())
    with _folder() as folder:
        cluster = Cluster(
            folder, runfile.free_port(), programs, makers=(ROLE,), settings=settings
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
