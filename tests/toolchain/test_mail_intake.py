"""Mails that come over HTTP: each key is taken once, whatever happens between, and is a mail like others."""

import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.toolchain.test_mail import Running, serving, system_in
from toolchain import mail, run, runfile
from toolchain.machine import Machine
from toolchain.machine.failure import Failure
from toolchain.mail import mailbox
from toolchain.runfile import free_port
from toolchain.supervise import server

MAIL = {
    "from": "Orders <orders@localhost>",
    "to": "jane@example.org",
    "subject": "Your order, Nguy\u1ec5n",
    "html": "<p>Dear Minh</p>",
}


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """Run a mail server."""
    with serving(tmp_path / "mail") as server:
        yield server


def post(running: Running, key: str | None, mail: object = MAIL) -> httpx.Response:
    """Post a mail."""
    headers = {"idempotency-key": key} if key is not None else {}
    with httpx.Client(base_url=running.page, trust_env=False) as client:
        return client.post("/emails", json=mail, headers=headers)


def test_a_mail_is_read_as_it_was_posted(running: Running) -> None:
    assert post(running, "a").status_code == 200

    (taken,) = mailbox.newest(running.folder, 10)
    assert (taken.sender, taken.to) == (MAIL["from"], MAIL["to"])
    assert (taken.subject, taken.text) == (MAIL["subject"], "Dear Minh")
    (file,) = running.folder.glob("*.eml")
    assert file.read_bytes().count(b"\n") == file.read_bytes().count(b"\r\n")


def test_a_key_is_taken_once_also_after_a_kill(running: Running) -> None:
    first = post(running, "a")
    again = post(running, "a")
    server.kill(running.started)
    server.keep(running.started)

    later = post(running, "a")

    assert first.json() == again.json() == later.json()
    assert len(mailbox.newest(running.folder, 10)) == 1
    assert post(running, "b").json() != first.json()


def test_a_key_with_another_mail_is_refused(running: Running) -> None:
    post(running, "a")

    assert post(running, "a", {**MAIL, "html": "else"}).status_code == 409
    assert len(mailbox.newest(running.folder, 10)) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        "<p>Hello</p>",
        {"to": "jane@example.org"},
        {**MAIL, "to": 7},
        {**MAIL, "to": "jane@example.org\nBcc: joe@example.org"},
        {**MAIL, "html": None},
    ],
)
def test_what_is_no_mail_is_refused(running: Running, wrong: object) -> None:
    assert post(running, "a", wrong).status_code == 422
    assert mailbox.newest(running.folder, 10) == []


def test_without_a_key_nothing_is_taken(running: Running) -> None:
    assert post(running, None).status_code == 400
    assert post(running, "").status_code == 400


@pytest.mark.parametrize(
    ("named", "chosen"),
    [("api", "api"), ("", "smtp"), ("/var/mail/jane", "smtp")],
)
def test_a_mail_component_is_chosen_and_a_logins_own_mail_is_none(
    monkeypatch: pytest.MonkeyPatch, named: str, chosen: str
) -> None:
    monkeypatch.setenv("MAIL", named)

    assert run.chosen().mail == chosen


def test_an_unknown_mail_component_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MAIL", "pigeon")

    with pytest.raises(
        Failure, match=r"(?s)MAIL=pigeon cannot be used.*MAIL=smtp, MAIL=api"
    ):
        run.chosen()


def machine_with(url: str) -> Machine:
    """Return a machine on which mails go there."""
    return Machine(runfile.ROOT, {**os.environ, "MAIL_API_URL": url})


def test_an_api_is_started_where_none_listens(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = machine_with(f"http://127.0.0.1:{free_port()}/emails")
    system = system_in(tmp_path, "api")

    with mail.provide(machine, system) as started:
        assert started
        with mail.provide(machine, system) as second:
            assert second is None

    assert "goes to the mail API at" in capsys.readouterr().out


def test_an_api_elsewhere_is_left_to_itself(tmp_path: Path) -> None:
    machine = machine_with("https://mail.invalid/emails")

    with mail.provide(machine, system_in(tmp_path, "api")) as started:
        assert started is None


@pytest.mark.parametrize("url", ["", "mail.invalid", "http://x:y/", "ftp://x/"])
def test_an_address_that_is_none_is_refused(tmp_path: Path, url: str) -> None:
    with (
        pytest.raises(Failure, match="MAIL_API_URL cannot be used"),
        mail.provide(machine_with(url), system_in(tmp_path, "api")),
    ):
        pass
