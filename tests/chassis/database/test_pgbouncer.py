"""Services behind PgBouncer, whose server's connections belong to one transaction after the other."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text

from chassis.database import Database, migrate
from chassis.database.engine import open_engine
from chassis.database.exclusive import InUse, alone, in_use
from chassis.database.indexes import create_index
from tests.support.database import secrets_in, upgrade
from tests.support.eventually import eventually
from tests.support.postgresql import ROLE, Databases
from tests.support.services import notification_service, order_service
from tests.support.simulated_dapr import SimulatedDapr
from toolchain.machine import this_machine
from toolchain.runfile import free_port
from toolchain.servers import pgbouncer
from toolchain.servers.postgresql_cluster import OWNER

SETTINGS = {
    "synchronous_commit": "on",
    "statement_timeout": "30s",
    "idle_in_transaction_session_timeout": "30s",
}
CONFIGURATION = """
[databases]
* = host=127.0.0.1 port={server} user={role}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 6
"""


@pytest.fixture(scope="module")
def pooler(databases: Databases) -> Iterator[int]:
    """Run PgBouncer in front of the tests' server; return its port."""
    program, port = pgbouncer.provide(this_machine()), free_port()
    file = databases.folder / "pgbouncer.ini"
    filled = CONFIGURATION.format(server=databases.port, port=port, role=ROLE)
    file.write_text(filled)
    # It refuses to be root, and ends with these tests however they end.
    user = (f"--reuid={OWNER}", f"--regid={OWNER}", "--init-groups")
    become = (*(user if os.geteuid() == 0 else ()), "--pdeathsig", "INT", "--")
    with (
        file.open() as given,
        subprocess.Popen(
            ["setpriv", *become, program, "-q", "/dev/stdin"],
            stdin=given,
            stderr=subprocess.DEVNULL,
        ) as process,
    ):
        try:
            asyncio.run(eventually(lambda: _accepts(port), "PgBouncer accepts"))
            yield port
        finally:
            process.terminate()
            process.wait(30)


async def _accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


@contextmanager
def pooled(databases: Databases, port: int) -> Iterator[str]:
    """Yield a new database's URL through PgBouncer, with the role's settings there."""
    with databases.fresh() as url:
        name = url.rpartition("/")[2]
        with psycopg.connect(url, autocommit=True) as connection:
            for setting, value in SETTINGS.items():
                connection.execute(
                    f"ALTER DATABASE \"{name}\" SET {setting} = '{value}'".encode()
                )
        yield f"postgresql://{ROLE}@127.0.0.1:{port}/{name}?pgbouncer=true"


async def test_every_order_is_notified_once(
    databases: Databases, pooler: int, tmp_path: Path
) -> None:
    folder, dapr = secrets_in(tmp_path), SimulatedDapr()
    with pooled(databases, pooler) as ours, pooled(databases, pooler) as theirs:
        async with (
            order_service(folder, dapr, database_url=ours) as order,
            notification_service(folder, dapr, database_url=theirs),
        ):
            body = {"customerName": "Jane Doe"}
            answers = await asyncio.gather(
                *(order.http.post("/api/order", json=body) for _ in range(100))
            )
            assert {each.status_code for each in answers} == {201}

            async def are_sent() -> bool:
                path = "/api/order?state=SENT&limit=200"
                return len((await order.http.get(path)).json()["items"]) == 100

            await eventually(are_sent, "all orders are notified")


def test_a_statement_works_on_whichever_connection_of_the_server(
    databases: Databases, pooler: int
) -> None:
    with pooled(databases, pooler) as url:
        engine = open_engine(url)
        backend = text("SELECT pg_backend_pid()")
        with engine.connect() as one, engine.connect() as another:
            one.execution_options(isolation_level="AUTOCOMMIT")
            # The driver would prepare it after five.
            pids = [one.scalar(backend) for _ in range(10)]
            taken = another.scalar(backend)
            elsewhere = one.scalar(backend)
        engine.dispose()
    assert taken in pids
    assert elsewhere != taken


async def test_the_lock_of_a_running_service_holds(
    databases: Databases, pooler: int
) -> None:
    with pooled(databases, pooler) as url:
        one, another = Database(url, "order", "one"), Database(url, "order", "another")
        async with in_use(one), in_use(another):
            with pytest.raises(InUse):
                async with alone(another):
                    raise AssertionError
        async with alone(one):
            pass
        await one.close()
        await another.close()


def test_a_role_without_the_settings_that_count_is_refused(
    databases: Databases, pooler: int
) -> None:
    with databases.fresh() as url:
        name = url.rpartition("/")[2]
        through = f"postgresql://{ROLE}@127.0.0.1:{pooler}/{name}?pgbouncer=true"
        with pytest.raises(migrate.WrongDatabase, match="ALTER ROLE tests SET"):
            upgrade("order", through)


def test_a_url_that_does_not_say_so_is_refused(
    databases: Databases, pooler: int
) -> None:
    with (
        pooled(databases, pooler) as url,
        pytest.raises(migrate.WrongDatabase, match="wants pgbouncer=true"),
    ):
        upgrade("order", url.partition("?")[0])


def test_an_index_is_built_by_the_server_itself(
    databases: Databases, pooler: int
) -> None:
    with pooled(databases, pooler) as url:
        engine = open_engine(url)
        with (
            engine.connect() as connection,
            pytest.raises(migrate.WrongDatabase, match="of the server itself"),
        ):
            create_index(connection, "some", "orders", "(id)")
        engine.dispose()
