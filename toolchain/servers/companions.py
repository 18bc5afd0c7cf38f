"""The servers that run beside the broker: for mails, and for the services' data where that needs one."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

from toolchain import mail
from toolchain.issuer import provision
from toolchain.machine import Machine
from toolchain.runfile import System
from toolchain.servers import postgresql, secured
from toolchain.supervise.server import RunningServer


@contextmanager
def running(machine: Machine, system: System) -> Iterator[Sequence[RunningServer]]:
    """Run what this system needs beside its broker; it is stopped at the end."""
    mails, data = mail.provide(machine, system), database(machine, system)
    with (
        mails as mail_server,
        data as cluster,
        secured.sentry(machine, system) as sentry,
        provision.provide(machine, system) as issuer,
    ):
        yield [each for each in (mail_server, cluster, sentry, issuer) if each]


def database(
    machine: Machine, system: System
) -> AbstractContextManager[RunningServer | None]:
    """Run the database of this system, where it is a server: a database for each service."""
    if system.database != "postgresql":
        return nullcontext()
    apps = system.document["apps"]
    names = [app["appID"] for app in apps if "DATABASE_URL" in app.get("env", {})]
    folder, port = system.state / "postgresql", system.port("postgresql")
    return postgresql.provide(machine, folder, port, names)
