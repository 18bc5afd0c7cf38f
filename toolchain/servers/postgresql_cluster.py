"""A PostgreSQL cluster as a server of the project's own: its data, its access rules, its databases."""

import getpass
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from toolchain.machine import processes
from toolchain.machine.failure import Failure
from toolchain.supervise import locks, server
from toolchain.supervise.server import RunningServer, Server

HERE = "127.0.0.1"
OWNER, SUPERUSER = "postgres", "postgres"
DATA = "/proc/self/fd/9"
ENTER = ("sh", "-c", 'exec 9<"$0" && cd / && exec "$@"')
"""Open a folder as descriptor 9, and become a program to which it is DATA.

PostgreSQL refuses root, and another user may not walk into a clone in root's home: the folder is opened
before the user changes. (Not as the working folder: up to version 15 the programs leave that one, and do not
find back.)
"""
SETTINGS = {
    "listen_addresses": HERE,
    "unix_socket_directories": ".",
    "max_connections": "100",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    # In the data's folder: what a killed one leaves elsewhere, nobody would remove.
    "dynamic_shared_memory_type": "mmap",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%u@%d ",
}
MAKER = r"""
SELECT format('CREATE ROLE %I LOGIN CREATEDB', :'name')
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'name')\gexec
"""
OWN_DATABASE = r"""
SELECT format('CREATE ROLE %I LOGIN', :'name')
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'name')\gexec
SELECT format('CREATE DATABASE %I OWNER %I', :'name', :'name')
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'name')\gexec
"""


@dataclass(frozen=True)
class Cluster:
    """A cluster that can be started: the folder of its data, its port, and the folder of its programs.

    Each of `names` is a role with a database of the same name. Each of `makers` is a role that may make
    databases, and enter all of them. Both need no password from this machine, and neither can reach files
    or programs: that is the superuser's alone, who comes in only by a socket in the data's folder.
    """

    folder: Path
    port: int
    programs: Path
    names: tuple[str, ...] = ()
    makers: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        """Where the data is, complete as soon as it is there at all."""
        return self.folder / "data"

    def server(self) -> Server:
        """Return how it is started."""
        settings = {**SETTINGS, "port": str(self.port), **self.settings}
        options = [f"--{name}={value}" for name, value in settings.items()]
        command = self.command(self.data, "postgres", "-D", DATA, *options)
        return Server(
            "PostgreSQL",
            self.folder,
            (command,),
            _environment(),
            lambda: _accepts(self),
            lambda: _prepare(self),
            # "Fast": ends what is under way. On SIGTERM it would wait for its clients to go.
            ask=signal.SIGINT,
        )

    def command(self, data: Path, program: str, *arguments: str) -> tuple[str, ...]:
        """Return the command line for one of the programs, on data in this folder."""
        path = str(self.programs / program)
        return (*ENTER, str(data), *_as_owner(), path, *arguments)


@contextmanager
def running(cluster: Cluster) -> Iterator[RunningServer]:
    """Run the cluster, with its roles and databases, and stop it whatever happens meanwhile."""
    with server.running(cluster.server()) as started:
        make_databases(cluster)
        yield started


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}


def _as_owner() -> tuple[str, ...]:
    # The kernel forgets what signal our end sends when the user changes: it is set again, here at last.
    setpriv = shutil.which("setpriv")
    if not setpriv:
        return ()
    user = (f"--reuid={OWNER}", f"--regid={OWNER}", "--init-groups")
    changed = user if os.geteuid() == 0 else ()
    return (setpriv, *changed, "--pdeathsig", "INT", "--")


def _owner() -> str:
    return OWNER if os.geteuid() == 0 else getpass.getuser()


def _accepts(cluster: Cluster) -> bool:
    command = [
        str(cluster.programs / "pg_isready"),
        f"--host={HERE}",
        f"--port={cluster.port}",
    ]
    asked = subprocess.run(
        command, capture_output=True, check=False, env=_environment()
    )
    return asked.returncode == 0


def _prepare(cluster: Cluster) -> None:
    if not cluster.data.exists():
        _initialise(cluster)
    for name, text in _rules(cluster).items():
        rules = cluster.data / name
        rules.write_text(text)
        rules.chmod(0o644)


def _initialise(cluster: Cluster) -> None:
    # Under another name until it is complete: what an interrupted attempt left is removed here.
    for left in cluster.folder.glob("data.*"):
        locks.remove(left)
    new = cluster.folder / f"data.{os.getpid()}"
    new.mkdir(mode=0o700)
    if os.geteuid() == 0:
        shutil.chown(new, OWNER, OWNER)
    arguments = ("-D", DATA, f"--username={SUPERUSER}", "--data-checksums")
    text = ("--encoding=UTF8", "--locale=C.UTF-8")
    command = cluster.command(new, "initdb", *arguments, *text)
    log = cluster.folder / "initdb.log"
    processes.carry_out(
        processes.Task(command, cluster.folder, _environment(), log),
        "PostgreSQL",
        "The project's own PostgreSQL cluster could not be made",
        "Correct that, then run it again.",
    )
    new.rename(cluster.data)


def _rules(cluster: Cluster) -> dict[str, str]:
    doors = [("sameuser", name) for name in cluster.names]
    doors += [("all", maker) for maker in cluster.makers]
    hosts = [f'host {where} "{role}" {HERE}/32 trust\n' for where, role in doors]
    return {
        "pg_hba.conf": f"local all {SUPERUSER} peer map=owner\n{''.join(hosts)}",
        "pg_ident.conf": f'owner "{_owner()}" {SUPERUSER}\n',
    }


def make_databases(cluster: Cluster) -> None:
    """Make the roles and databases of a cluster that runs, those that are not there."""
    script = "".join(f"\\set name {each}\n{OWN_DATABASE}" for each in cluster.names)
    script += "".join(f"\\set name {each}\n{MAKER}" for each in cluster.makers)
    as_superuser(cluster, script)


def as_superuser(cluster: Cluster, script: str) -> None:
    """Run a script of psql as the superuser of a cluster that runs; raises Failure where a statement fails."""
    options = "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", f"--host={DATA}"
    who = f"--port={cluster.port}", f"--username={SUPERUSER}", "--dbname=postgres"
    ended = subprocess.run(
        cluster.command(cluster.data, "psql", *options, *who, "--file=-"),
        input=script,
        capture_output=True,
        text=True,
        check=False,
        env=_environment(),
    )
    if ended.returncode:
        raise Failure(
            "The services' databases could not be made",
            ended.stderr.strip(),
            f"PostgreSQL's logs: {cluster.folder}",
        )
