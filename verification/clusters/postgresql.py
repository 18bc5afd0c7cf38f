"""A primary of PostgreSQL and its standby: a commit is answered when both have it; they can change places."""

from contextlib import closing
from dataclasses import dataclass

import psycopg

from tests.support.eventually import within
from verification.clusters.nodes import HERE, Nodes, shipped

PORT = 5432
FOLLOWS_WITHIN = 60.0
SETTINGS = {
    "max_connections": "200",
    # A host without power says no goodbye.
    "wal_sender_timeout": "5s",
    "wal_receiver_timeout": "5s",
    # One that comes back, and has all already, says so only then: every commit waits until it does.
    "wal_receiver_status_interval": "1s",
    "wal_retrieve_retry_interval": "1s",
}
STANDBY = "walreceiver"
"""What a standby calls itself. By '*', a copy that pg_basebackup is still making would count as one."""
FOLLOWS = f"SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND application_name = '{STANDBY}'"
IS_SYNCHRONOUS = f"{FOLLOWS} AND sync_state = 'sync'"
SCRIPTS = "/docker-entrypoint-initdb.d"


@dataclass
class Pair:
    """Two servers; `names` has the primary's first, and they change places at a failover.

    Where it is not `synchronous`, the primary answers a commit that the standby does not have yet.
    """

    nodes: Nodes
    names: tuple[str, str]
    synchronous: bool = True

    def add(self) -> None:
        """Describe both servers."""
        for name in self.names:
            self.nodes.add(name, _server())

    def start(self) -> None:
        """Start the primary, with the services' databases, and then its standby."""
        primary = self.names[0]
        self.nodes.up(primary)
        within(FOLLOWS_WITHIN, lambda: self.serves(primary), f"{primary} answers")
        self.start_standby()

    def start_standby(self) -> None:
        """Make the standby, from a copy of the primary; commits wait for it from then on."""
        primary, standby = self.names
        # A name takes five seconds to find out that there is no network; an address, none.
        address = self.nodes.address(primary)
        self.nodes.services[standby]["environment"]["PRIMARY"] = address
        self.nodes.up(standby)
        self._await(FOLLOWS)
        if self.synchronous:
            named = f"ALTER SYSTEM SET synchronous_standby_names = '{STANDBY}'"
            self._ask(primary, named)
            self._ask(primary, "SELECT pg_reload_conf()")
            self._await(IS_SYNCHRONOUS)

    def promote(self) -> None:
        """Make the standby the primary; the other one must be dead, or nobody may reach it."""
        primary, standby = self.names
        # Its own settings, copied before there was a standby, let it answer alone.
        self._ask(standby, "SELECT pg_promote()")
        self.names = standby, primary

    def is_whole(self) -> bool:
        """Return whether the standby has all that the primary answers for."""
        asked = IS_SYNCHRONOUS if self.synchronous else FOLLOWS
        return self._answers(self.names[0], asked) == 1

    def serves(self, name: str) -> bool:
        """Return whether a server takes connections."""
        return self._answers(name, "SELECT 1") == 1

    def url(self, database: str, *, from_here: bool = False) -> str:
        """Return a database's URL: whichever of the servers is the primary."""
        password = self.nodes.stack.variables["DATABASE_PASSWORD"]
        names = sorted(self.names)
        at = map(self.nodes.address, names) if from_here else names
        hosts = "&".join(f"host={each}:{PORT}" for each in at)
        return f"postgresql://{database}:{password}@/{database}?{hosts}&target_session_attrs=read-write"

    def _answers(self, name: str, statement: str) -> object:
        try:
            return self._ask(name, statement)
        except psycopg.Error:
            return None

    def _ask(self, name: str, statement: str) -> object:
        with closing(
            psycopg.connect(
                host=self.nodes.address(name),
                port=PORT,
                user="postgres",
                password=self.nodes.stack.variables["DATABASE_PASSWORD"],
                autocommit=True,
                connect_timeout=5,
            )
        ) as connection:
            asked = connection.execute(statement.encode())
            return asked.fetchall()[0][0] if asked.description else None

    def _await(self, statement: str) -> None:
        primary, standby = self.names
        within(
            FOLLOWS_WITHIN,
            lambda: self._answers(primary, statement) == 1,
            f"{standby} follows {primary}",
        )


def _server() -> dict[str, object]:
    part = shipped()["postgresql"]
    settings = [f"--{name}={value}" for name, value in SETTINGS.items()]
    mounted = {
        "postgresql.sh": "/postgresql.sh",
        "replication.sh": f"{SCRIPTS}/replication.sh",
    }
    own = [f"{HERE / file}:{where}:ro" for file, where in mounted.items()]
    return {
        **part,
        "entrypoint": ["sh", "/postgresql.sh"],
        "command": [*part["command"], *settings],
        "environment": dict(part["environment"]),
        # Its data go with the container, as with the disk of a machine.
        "volumes": [each for each in part["volumes"] if SCRIPTS in each] + own,
    }
