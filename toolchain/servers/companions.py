"""The servers that run beside the broker: for mails, and for the services' data where that needs one."""

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

from toolchain import mail, runfile
from toolchain.machine import Machine
from toolchain.machine.failure import Failure
from toolchain.runfile import System
from toolchain.servers import postgresql
from toolchain.supervise.server import RunningServer

DATABASES = ("sqlite", "postgresql")
"""What the services can keep their data in."""


MAILS = ("smtp", "api")
"""How mails leave: the folders in components/mail."""


def chosen_database() -> str:
    """Give the database that DATABASE names; raises Failure where there is none."""
    about = "what the services keep their data in"
    return _chosen("DATABASE", "database", about, runfile.DATABASE, DATABASES)


def chosen_mail() -> str:
    """Give the way of mails that MAIL names; raises Failure where there is none."""
    about = "one of the folders in components/mail"
    return _chosen("MAIL", "way of mails", about, runfile.MAIL, MAILS)


def _chosen(
    variable: str, what: str, about: str, usual: str, known: Sequence[str]
) -> str:
    chosen = os.environ.get(variable) or usual
    if "/" in chosen:  # a login's own MAIL: the file that its mails come into
        return usual
    if chosen not in known:
        raise Failure(
            f"There is no {what} {chosen!r} here",
            f"{variable} names {about}.",
            f"One of these helps: {', '.join(f'{variable}={each}' for each in known)}",
        )
    return chosen


@contextmanager
def running(machine: Machine, system: System) -> Iterator[Sequence[RunningServer]]:
    """Run what this system needs beside its broker; it is stopped at the end."""
    folder = system.state / "mail"
    if system.mail == "api":
        mails = mail.provide_api(machine, folder, system.port("smtp"))
    else:
        mails = mail.provide(machine, folder, system.port("mail page"))
    with mails as mail_server, database(machine, system) as cluster:
        yield [each for each in (mail_server, cluster) if each]


def database(
    machine: Machine, system: System
) -> AbstractContextManager[RunningServer | None]:
    """Run the database of this system, where it is a server: a database for each service."""
    if system.database != "postgresql":
        return nullcontext()
    names = [app["appID"] for app in system.document["apps"]]
    folder, port = system.state / "postgresql", system.port("postgresql")
    return postgresql.provide(machine, folder, port, names)
