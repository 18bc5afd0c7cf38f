"""The mail server for the project: the one that answers, else one of its own."""

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from toolchain import runfile
from toolchain.machine import Machine, say
from toolchain.machine.failure import Failure
from toolchain.supervise import server
from toolchain.supervise.server import RunningServer, Server

NAME = "mail"
HERE = ("127.0.0.1", "localhost")


@contextmanager
def provide(
    machine: Machine, folder: Path, page_port: int
) -> Iterator[RunningServer | None]:
    """Let mails be taken at SMTP_HOST and SMTP_PORT; what was started for it is stopped at the end.

    A server of the project's own keeps its mails in `folder`.
    """
    host, port = address_of(machine)
    if greets(host, port):
        say.done(NAME, f"goes to the server that answers at {host}:{port}")
        yield None
        return
    _refuse_what_cannot_be_started(host, port)
    if not runfile.is_free(page_port):
        page_port = runfile.free_port()
    with server.running(server_in(folder, port, page_port)) as started:
        say.done(NAME, f"read it at http://127.0.0.1:{page_port}")
        yield started


@contextmanager
def provide_api(
    machine: Machine, folder: Path, smtp_port: int
) -> Iterator[RunningServer | None]:
    """Let mails be taken at MAIL_API_URL; what was started for it is stopped at the end."""
    url = machine.environment["MAIL_API_URL"]
    host, port = _api_of(url)
    if host not in HERE or not runfile.is_free(port):
        say.done(NAME, f"goes to the mail API at {url}")
        yield None
        return
    if not runfile.is_free(smtp_port):
        smtp_port = runfile.free_port()
    with server.running(server_in(folder, smtp_port, port)) as started:
        say.done(NAME, f"read it at http://127.0.0.1:{port}")
        yield started


def _api_of(url: str) -> tuple[str, int]:
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    except (ValueError, KeyError) as error:
        raise Failure(
            "MAIL_API_URL cannot be used",
            f"It is no address of HTTP: {url!r}.",
            "Correct it, or unset it: then it is http://127.0.0.1:8025/emails.",
        ) from error
    return parts.hostname or "", port


def address_of(machine: Machine) -> tuple[str, int]:
    """Give where mails go."""
    host, port = (machine.environment[name] for name in ("SMTP_HOST", "SMTP_PORT"))
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 2**16):
        raise Failure(
            "SMTP_PORT cannot be used",
            f"It is no number of a port: {port!r}.",
            "Correct it, or unset it: then it is 1025.",
        )
    return host, int(port)


def server_in(folder: Path, smtp_port: int, page_port: int) -> Server:
    """Say how a mail server with its mails in this folder is started."""
    folder = folder.absolute()
    ports = ("--smtp-port", str(smtp_port), "--page-port", str(page_port))
    module = (sys.executable, "-m", "toolchain.mail.mail_server")
    return Server(
        "mail server",
        folder,
        ((*module, *ports, "--folder", str(folder)),),
        {**os.environ, "PYTHONPATH": str(runfile.ROOT)},
        lambda: greets("127.0.0.1", smtp_port) and not runfile.is_free(page_port),
        lambda: None,
    )


def greets(host: str, port: int) -> bool:
    """Tell whether a mail server answers there."""
    try:
        with socket.create_connection((host, port), timeout=2) as connection:
            return connection.recv(4).startswith(b"220")
    except OSError:
        return False


def _refuse_what_cannot_be_started(host: str, port: int) -> None:
    if host not in HERE:
        raise Failure(
            f"No mail server answers at {host}:{port}",
            "SMTP_HOST names another machine, and none is started here in its place.",
            "Start it there, correct SMTP_HOST and SMTP_PORT, or unset them.",
        )
    if not runfile.is_free(port):
        raise Failure(
            f"No mail server answers at {host}:{port}",
            "Something else listens there.",
            "End that program, or let SMTP_PORT name another port.",
        )
