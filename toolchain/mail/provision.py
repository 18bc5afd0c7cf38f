"""The mail server for the project: the one that answers, else one of its own."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from toolchain import runfile
from toolchain.machine import Machine, network, ports, terminal
from toolchain.machine.failure import Failure
from toolchain.runfile import System
from toolchain.supervise import server
from toolchain.supervise.server import RunningServer, Server

NAME = "mail"
HERE = ("127.0.0.1", "localhost")


@contextmanager
def provide(machine: Machine, system: System) -> Iterator[RunningServer | None]:
    """Provide a server where this system sends its mails; what was started for it is stopped at the end."""
    usual = system.port("smtp"), system.port("mail page")
    ports = (
        _api_ports(machine, usual)
        if system.mail == "api"
        else _smtp_ports(machine, usual)
    )
    if ports is None:
        yield None
        return
    with server.running(server_in(system.state / "mail", *ports)) as started:
        terminal.done(NAME, f"read it at http://127.0.0.1:{ports[1]}")
        yield started


def server_in(folder: Path, smtp_port: int, page_port: int) -> Server:
    """Return how a mail server with its mails in this folder is started."""
    folder = folder.absolute()
    ports = ("--smtp-port", str(smtp_port), "--page-port", str(page_port))
    module = (sys.executable, "-m", "toolchain.mail.catcher")
    return Server(
        "mail server",
        folder,
        ((*module, *ports, "--folder", str(folder)),),
        {**os.environ, "PYTHONPATH": str(runfile.ROOT)},
        lambda: greets("127.0.0.1", smtp_port) and not runfile.is_free(page_port),
        lambda: None,
    )


def greets(host: str, port: int) -> bool:
    """Return whether a mail server answers there."""
    return (network.ask((host, port), size=3) or b"") == b"220"


def _smtp_ports(machine: Machine, usual: tuple[int, int]) -> tuple[int, int] | None:
    """Return the ports of a mail server to start at SMTP_HOST and SMTP_PORT; None where one answers."""
    host, port = address_of(machine)
    if greets(host, port):
        terminal.done(NAME, f"goes to the server that answers at {host}:{port}")
        return None
    if host not in HERE:
        raise Failure(
            f"No mail server answers at {host}:{port}",
            "SMTP_HOST names another machine, and none is started here in its place.",
            "Start it there, correct SMTP_HOST and SMTP_PORT, or unset them.",
        )
    if not runfile.is_free(port):
        raise Failure(
            f"No mail server answers at {host}:{port}",
            f"Something else listens there: {ports.holder(port)}.",
            f"End that program, let SMTP_PORT name another port, or use other ports: {ports.others()}",
        )
    return port, _free(usual[1])


def _api_ports(machine: Machine, usual: tuple[int, int]) -> tuple[int, int] | None:
    """Return the ports of a mail server to start at MAIL_API_URL; None where there is one, or may be."""
    url = machine.environment["MAIL_API_URL"]
    host, port = _address("MAIL_API_URL", url, {"http": 80, "https": 443})
    if host not in HERE or not runfile.is_free(port):
        terminal.done(NAME, f"goes to the mail API at {url}")
        return None
    return _free(usual[0]), port


def _free(port: int) -> int:
    return port if runfile.is_free(port) else runfile.free_port()


def address_of(machine: Machine) -> tuple[str, int]:
    """Return where mails go by SMTP."""
    host, port = (machine.environment[name] for name in ("SMTP_HOST", "SMTP_PORT"))
    return _address("SMTP_PORT", f"smtp://{host}:{port}", {})


def _address(variable: str, url: str, usual: Mapping[str, int]) -> tuple[str, int]:
    try:
        parts = urlsplit(url)
        return parts.hostname or "", parts.port or usual[parts.scheme]
    except (ValueError, KeyError) as error:
        raise Failure(
            f"{variable} cannot be used",
            f"This is no address: {url!r}.",
            "Correct it, or unset it: then it is the one of the server that `make run` starts.",
        ) from error
