"""A primary of PostgreSQL and its standby: a commit is answered when both have it; they can change places."""

import os
import shutil
import subprocess
import time
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg

from toolchain.machine import processes
from toolchain.servers import postgresql_cluster
from toolchain.servers.postgresql_cluster import DATA, OWNER, Cluster
from toolchain.supervise import server
from toolchain.supervise.server import RunningServer, Server
from verification.clusters.network import Network

PORT = 5432
OPERATOR = "operator"
PRIMARY, STANDBY = "primary", "standby"
FOLLOWS_WITHIN = 60.0
SETTINGS = {
    "listen_addresses": "*",
    "max_connections": "200",
    # A host without power says no goodbye.
    "wal_sender_timeout": "5s",
    "wal_receiver_timeout": "5s",
}
IS_SYNCHRONOUS = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"
FOLLOWS = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"


@dataclass
class Pair:
    """Two hosts; `hosts` has the primary's first, and they change places at a failover.

    Where it is not `synchronous`, the primary answers a commit that the standby does not have yet.
    """

    network: Network
    hosts: tuple[str, str]
    folder: Path
    programs: Path
    names: tuple[str, ...]
    synchronous: bool = True

    def url(self, name: str) -> str:
        """Return a database's URL: whichever of the hosts is the primary."""
        addresses = (self.network.address(host) for host in sorted(self.hosts))
        hosts = "&".join(f"host={each}:{PORT}" for each in addresses)
        return f"postgresql://{name}@/{name}?{hosts}&target_session_attrs=read-write"

    def start_primary(self) -> RunningServer:
        """Start the first primary, with the services' databases, alone."""
        host = self.hosts[0]
        started = server.start(self._server(host))
        cluster = self._cluster(host)
        postgresql_cluster.make_databases(cluster)
        script = f"CREATE ROLE {OPERATOR} SUPERUSER REPLICATION LOGIN;"
        postgresql_cluster.as_superuser(cluster, script)
        return started

    def start_standby(self) -> RunningServer:
        """Copy the primary to the other host, and let commits wait for it from then on."""
        primary, host = self.hosts
        self._copy(primary, host)
        started = server.start(self._server(host))
        self._await(primary, FOLLOWS)
        if self.synchronous:
            self._ask(primary, "ALTER SYSTEM SET synchronous_standby_names = '*'")
            self._ask(primary, "SELECT pg_reload_conf()")
            self._await(primary, IS_SYNCHRONOUS)
        return started

    def promote(self) -> None:
        """Make the standby the primary; the other one must be dead, or nobody may reach it."""
        primary, standby = self.hosts
        # Its own settings, copied before there was a standby, let it answer alone.
        self._ask(standby, "SELECT pg_promote()")
        self.hosts = standby, primary

    def is_whole(self) -> bool:
        """Return whether the standby has all that the primary answers for."""
        asked = IS_SYNCHRONOUS if self.synchronous else FOLLOWS
        try:
            return self._ask(self.hosts[0], asked) == 1
        except psycopg.Error:
            return False

    def _cluster(self, host: str) -> Cluster:
        folder = (self.folder / host).absolute()
        return Cluster(folder, PORT, self.programs, self.names, settings=SETTINGS)

    def _server(self, host: str) -> Server:
        cluster = self._cluster(host)
        own = cluster.server()

        def prepare() -> None:
            own.prepare()
            self._open(cluster)

        return replace(
            own,
            name=f"PostgreSQL on {host}",
            commands=tuple(self.network.inside(host, each) for each in own.commands),
            serves=lambda: self._accepts(host),
            prepare=prepare,
        )

    def _open(self, cluster: Cluster) -> None:
        network = f"{self.network.base}.0/24 trust\n"
        with (cluster.data / "pg_hba.conf").open("a") as rules:
            rules.write(f"host all all {network}host replication {OPERATOR} {network}")

    def _accepts(self, host: str) -> bool:
        command = [str(self.programs / "pg_isready"), "-h", self.network.address(host)]
        return not subprocess.run(command, capture_output=True, check=False).returncode

    def _copy(self, primary: str, host: str) -> None:
        cluster = self._cluster(host)
        shutil.rmtree(cluster.data, ignore_errors=True)
        cluster.data.mkdir(mode=0o700, parents=True)
        if os.geteuid() == 0:
            shutil.chown(cluster.data, OWNER, OWNER)
        where = f"host={self.network.address(primary)} port={PORT} user={OPERATOR}"
        # With -R, the copy is a standby of what it is a copy of.
        how = ("-D", DATA, "-d", where, "-R", "--checkpoint=fast")
        command = cluster.command(cluster.data, "pg_basebackup", *how)
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
        log = cluster.folder / "copy.log"
        processes.carry_out(
            processes.Task(
                self.network.inside(host, command), cluster.folder, environment, log
            ),
            "PostgreSQL",
            "The standby could not be made",
            "Look into the log.",
        )
        # The primary's socket lies in its data, and so does what says that it is taken.
        (cluster.data / f".s.PGSQL.{PORT}.lock").unlink()

    def _ask(self, host: str, statement: str) -> object:
        address = self.network.address(host)
        with closing(
            psycopg.connect(
                host=address,
                port=PORT,
                user=OPERATOR,
                dbname="postgres",
                autocommit=True,
                connect_timeout=5,
            )
        ) as connection:
            asked = connection.execute(statement.encode())
            return asked.fetchall()[0][0] if asked.description else None

    def _await(self, host: str, statement: str) -> None:
        deadline = time.monotonic() + FOLLOWS_WITHIN
        while self._ask(host, statement) != 1:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{host}: no standby follows it")
            time.sleep(0.2)
