"""The mail server for real: what it answered for is kept, and it is there when the system is."""

import os
import re
import smtplib
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.support.sockets import listening_at
from tests.toolchain.small_broker import listening
from tests.toolchain.stand_ins import until
from toolchain import mail, runfile
from toolchain.machine import Machine
from toolchain.machine.failure import Failure
from toolchain.mail import catcher, mailbox, provision
from toolchain.runfile import System
from toolchain.supervise import server
from toolchain.supervise.server import RunningServer


@dataclass
class Running:
    """A mail server that runs, and where."""

    folder: Path
    smtp: int
    page: str
    started: RunningServer

    def client(self) -> "closing[smtplib.SMTP]":
        """Connect to it."""
        return closing(smtplib.SMTP("127.0.0.1", self.smtp, timeout=30))

    def send(self, subject: str, size: int = 0) -> None:
        """Send it a mail."""
        content = f"Subject: {subject}\r\n\r\n{'x' * size}"
        with self.client() as client:
            client.sendmail("orders@shop", ["jane@example.org"], content)

    def subjects(self) -> list[str]:
        """Return the subjects that its page shows."""
        shown = httpx.get(self.page, trust_env=False, timeout=30).text
        return re.findall("^Subject: (.*)$", shown, re.MULTILINE)


@contextmanager
def serving(folder: Path) -> Iterator[Running]:
    """Run a mail server with its mails in this folder."""
    smtp, page = runfile.free_port(), runfile.free_port()
    with server.running(mail.server_in(folder, smtp, page)) as started:
        yield Running(folder, smtp, f"http://127.0.0.1:{page}", started)


def test_one_whose_port_is_taken_meanwhile_says_so_once_and_starts_when_it_is_free(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(server, "STARTS_EVERY", 0.0)
    with serving(tmp_path / "mail") as running:
        server.kill(running.started)
        page = httpx.URL(running.page).port or 0
        with socket.create_server(("127.0.0.1", page)):
            for _ in range(2):
                server.keep(running.started)
            said = capsys.readouterr().out
        server.keep(running.started)
        running.send("back")
        assert running.subjects() == ["back"]

    assert said.count("it does not start: ") == 1
    assert "address already in use" in said
    assert "it is tried again every 0 s" in said
    assert "it serves again" in capsys.readouterr().out


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """Run a mail server."""
    with serving(tmp_path / "mail") as server:
        yield server


def machine_with(port: int, host: str = "127.0.0.1") -> Machine:
    """Return a machine on which mails go there."""
    address = {"SMTP_HOST": host, "SMTP_PORT": str(port)}
    return Machine(runfile.ROOT, {**os.environ, **address})


def system_in(folder: Path, kind: str = "smtp") -> System:
    """Return a system with free ports that keeps its data in this folder."""
    return runfile.load(runfile.free_offset(), folder, mail=kind)


def test_a_mail_that_was_taken_survives_a_kill(running: Running) -> None:
    running.send("first")

    server.kill(running.started)
    server.keep(running.started)

    running.send("second")
    assert running.subjects() == ["second", "first"]


def test_it_listens_on_loopback_only(running: Running) -> None:
    assert listening_at(running.started.itself.pid) == {"127.0.0.1"}


def test_a_mail_that_is_too_large_is_refused_and_the_next_one_is_taken(
    running: Running,
) -> None:
    with running.client() as client:
        client.ehlo_or_helo_if_needed()
        client.mail("orders@shop")  # without the size, which would be refused at once
        client.rcpt("jane@example.org")
        assert client.data(b"Subject: large\r\n\r\n" + b"x\r\n" * 2**19)[0] == 552
    with pytest.raises(smtplib.SMTPSenderRefused, match="552"):
        running.send("large", catcher.LARGEST)
    running.send("the next one")

    assert running.subjects() == ["the next one"]


def test_a_mail_that_cannot_be_stored_is_not_taken(running: Running) -> None:
    running.folder.rename(running.folder.with_name("gone"))

    with pytest.raises(smtplib.SMTPDataError, match="Not stored"):
        running.send("lost?")

    running.folder.with_name("gone").rename(running.folder)


def test_it_ends_though_a_client_stays(tmp_path: Path) -> None:
    with serving(tmp_path) as running:
        staying = smtplib.SMTP("127.0.0.1", running.smtp, timeout=30)
        staying.helo()
    with staying:
        pass

    until(lambda: runfile.is_free(running.smtp))


def test_one_that_answers_is_used(
    running: Running, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with mail.provide(
        machine_with(running.smtp), system_in(tmp_path / "own")
    ) as started:
        assert started is None

    assert f"answers at 127.0.0.1:{running.smtp}" in capsys.readouterr().out
    assert not (tmp_path / "own" / "mail").exists()


def test_something_else_at_the_port_is_said(tmp_path: Path) -> None:
    with (
        listening(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port,
        pytest.raises(Failure, match="Something else listens there"),
        mail.provide(machine_with(port), system_in(tmp_path)),
    ):
        pass


def test_none_here_replaces_one_on_another_machine(tmp_path: Path) -> None:
    with (
        pytest.raises(Failure, match=r"mail\.invalid:25: SMTP_HOST names another"),
        mail.provide(machine_with(25, "mail.invalid"), system_in(tmp_path)),
    ):
        pass


@pytest.mark.parametrize("port", ["smtp", "", "0", "70000", "²"])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    address = {"SMTP_HOST": "127.0.0.1", "SMTP_PORT": port}

    with pytest.raises(Failure, match="SMTP_PORT cannot be used"):
        provision.address_of(Machine(runfile.ROOT, address))


def test_the_page_moves_where_its_port_is_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    system = system_in(tmp_path)
    taken = system.port("mail page")
    with socket.create_server(("127.0.0.1", taken)):
        machine = machine_with(system.port("smtp"))
        with mail.provide(machine, system):
            page = capsys.readouterr().out.split()[-1]
            assert not page.endswith(f":{taken}")
            assert "No mail yet" in httpx.get(page, trust_env=False).text


def test_what_is_in_the_folder_is_what_was_taken(running: Running) -> None:
    for number in range(20):
        running.send(str(number))

    assert len(mailbox.newest(running.folder, 100)) == 20
    assert list(running.folder.glob("*.part")) == []
