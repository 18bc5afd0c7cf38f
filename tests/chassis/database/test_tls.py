"""TLS to the database: a service speaks it where DATABASE_URL says so, and never in the clear instead."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url, text

from chassis.runtime.settings import EX_CONFIG
from tests.chassis.database.test_migration_on_postgresql import tables
from tests.chassis.database.test_wrong_database import start
from tests.support import postgresql
from tests.support.eventually import within
from tests.support.postgresql import Databases
from tests.support.services import order_service
from tests.support.simulated_dapr import SimulatedDapr
from toolchain.machine import this_machine
from toolchain.servers.postgresql import provided_programs
from toolchain.servers.postgresql_cluster import Cluster, as_superuser

PASSWORD = "not-to-be-shown"
KEY = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
AUTHORITY = (
    f"req -x509 {KEY} -days 2 -subj /CN={{name}} -keyout {{name}}.key -out {{name}}.crt"
)
SERVER = (
    f"req -new {KEY} -subj /CN=localhost -keyout server.key -out server.csr",
    "x509 -req -in server.csr -CA ours.crt -CAkey ours.key -set_serial 2 -days 2 -extfile names -out server.crt",
)
CONNECTIONS = """
    SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE datname = current_database()
"""


@dataclass(frozen=True)
class WithTls:
    """A server that takes connections in the clear too, so that falling back to them would succeed."""

    databases: Databases
    certificates: Path

    def url(self, plain: str, host: str = "localhost", authority: str = "ours") -> str:
        """Return the URL of a database as docs/databases.md has it; the certificate is one for localhost."""
        at = make_url(plain)
        return (
            f"postgresql://{at.username}:{PASSWORD}@{host}:{at.port}/{at.database}"
            f"?sslmode=verify-full&sslrootcert={self.certificates}/{authority}.crt"
        )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WithTls]:
    """Run a PostgreSQL with a certificate for localhost."""
    folder = tmp_path_factory.mktemp("certificates")
    (folder / "names").write_text("subjectAltName=DNS:localhost")
    authorities = [AUTHORITY.format(name=name) for name in ("ours", "theirs")]
    for command in (*authorities, *SERVER):
        subprocess.run(
            ["openssl", *command.split()], cwd=folder, check=True, capture_output=True
        )
    with postgresql.databases() as made:
        switch_tls_on(made, folder)
        yield WithTls(made, folder)


def switch_tls_on(databases: Databases, certificates: Path) -> None:
    """Have a server that runs speak TLS."""
    programs = provided_programs(this_machine())
    cluster = Cluster(databases.folder, databases.port, programs)
    owner = cluster.data.stat()
    for name in ("server.crt", "server.key"):
        file = Path(shutil.copy(certificates / name, cluster.data))
        file.chmod(0o600)
        os.chown(file, owner.st_uid, owner.st_gid)
    as_superuser(cluster, "ALTER SYSTEM SET ssl = on;\nSELECT pg_reload_conf();")
    within(60, lambda: speaks_tls(databases), "the server speaks TLS")


def speaks_tls(databases: Databases) -> bool:
    """Return whether a server takes connections by TLS."""
    try:
        psycopg.connect(databases.url("postgres"), sslmode="require").close()
    except psycopg.OperationalError:
        return False
    return True


async def test_a_service_migrates_and_takes_orders_by_tls_alone(
    server: WithTls, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    with server.databases.fresh() as plain:
        url = server.url(plain)
        async with order_service(tmp_path, dapr, database_url=url) as order:
            answer = await order.http.post("/api/order", json={"customerName": "Jane"})
            address = answer.request.url.join(answer.headers["location"])
            found = await order.http.get(address)
            connections = await order.database.read(
                lambda session: list(session.scalars(text(CONNECTIONS)))
            )

    assert answer.status_code == 201
    assert found.json()["orderId"] == answer.json()["orderId"]
    assert len(connections) > 1
    assert set(connections) == {True}


@pytest.mark.parametrize(
    ("change", "said", "remedy"),
    [
        pytest.param(
            {"authority": "theirs"},
            "certificate verify failed",
            "name in sslrootcert the authority",
            id="signed by another",
        ),
        pytest.param(
            {"host": "127.0.0.1"},
            "does not match host name",
            "write the host in DATABASE_URL as",
            id="for another host",
        ),
        pytest.param(
            {"authority": "nobody"},
            "root certificate file",
            "name in sslrootcert a PEM file",
            id="no authority",
        ),
    ],
)
async def test_a_server_that_is_not_the_one_meant_is_refused_in_one_sentence(
    server: WithTls, tmp_path: Path, change: dict[str, str], said: str, remedy: str
) -> None:
    with server.databases.fresh() as plain:
        url = server.url(plain, **change)

        await is_refused(url, tmp_path, said, remedy)

        assert tables(plain) == set()


async def test_a_server_without_tls_is_refused_and_never_reached_in_the_clear(
    server: WithTls, databases: Databases, tmp_path: Path
) -> None:
    with databases.fresh() as plain:
        url = server.url(plain)

        await is_refused(
            url, tmp_path, "server does not support SSL", "switch TLS on at the server"
        )

        assert tables(plain) == set()


async def is_refused(url: str, folder: Path, said: str, remedy: str) -> None:
    """Start a service, and see it end with one sentence that says what to do."""
    status, (line,) = await start("order", url, folder)

    assert status == EX_CONFIG
    assert said in line
    assert f"): {remedy}" in line
    assert PASSWORD not in line
