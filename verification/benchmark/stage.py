"""How the system and its servers are started: no other file here knows the toolchain."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from toolchain import postgresql, postgresql_cluster, runfile
from toolchain.machine import this_machine

LOCAL = runfile.LOCAL / "benchmark"


@contextmanager
def postgresql_server(folder: Path) -> Iterator[str]:
    """Run PostgreSQL with a database of its own, and yield its address without a driver."""
    port = runfile.free_port()
    with postgresql.provide(this_machine(), folder / "postgresql", port, ["bench"]):
        url = postgresql_cluster.url("bench", port)
        yield url.replace("+asyncpg", "")
