"""Where Redis comes from: the one that runs, else the package; and what is said of a careless one."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.toolchain.small_broker import free_port, listening
from tests.toolchain.stand_ins import CLONE, bare_machine, calls, stand_in, until
from toolchain.machine import Machine, network
from toolchain.machine.failure import Failure
from toolchain.servers import redis
from toolchain.servers.broker import Address
from toolchain.supervise import server


def machine_with_port(folder: Path, port: int | None = None) -> Machine:
    """A bare machine whose broker is configured on that port, or on one where nothing listens."""
    return bare_machine(folder, REDIS_HOST=f"127.0.0.1:{port or free_port()}")


def this_machine_with(port: int) -> Machine:
    """This machine, with its broker configured on that port."""
    return Machine(CLONE, {**os.environ, "REDIS_HOST": f"127.0.0.1:{port}"})


@contextmanager
def somebodys(folder: Path, *options: str) -> Iterator[int]:
    """A Redis that somebody else started in his own way; yield its port."""
    port = free_port()
    command = ["redis-server", "--port", str(port), "--dir", str(folder), *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as child:
        try:
            until(lambda: network.ask(("127.0.0.1", port), redis.PING, size=1))
            yield port
        finally:
            child.kill()


@pytest.mark.system
def test_one_that_answers_and_keeps_everything_is_used_without_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = this_machine_with(free_port())
    own = redis.server_in(machine, tmp_path / "own", redis.address_of(machine).port)

    with server.running(own), redis.provide(machine, tmp_path / "other") as broker:
        assert broker.how.startswith("already running")
        assert broker.server is None
        redis.prepare(machine)

    assert not (tmp_path / "other").exists()
    said = capsys.readouterr().out
    assert "already runs at 127.0.0.1" in said
    assert "may lose" not in said


@pytest.mark.system
def test_one_that_may_lose_what_it_has_accepted_is_used_and_its_faults_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (
        somebodys(tmp_path, "--appendonly", "yes") as port,
        redis.provide(this_machine_with(port), tmp_path / "own") as broker,
    ):
        assert broker.server is None

    said = capsys.readouterr().out
    assert "may lose what it has accepted" in said
    assert "appendfsync always (redis-cli" in said
    assert "appendonly" not in said


@pytest.mark.system
def test_one_that_does_not_tell_its_settings_is_doubted(tmp_path: Path) -> None:
    with somebodys(tmp_path, "--rename-command", "CONFIG", "") as port:
        address = Address("127.0.0.1", port)

        assert redis.answers(address)
        assert len(redis.missing(address)) == len(redis.DURABLE)


@pytest.mark.system
def test_one_that_wants_a_password_is_refused(tmp_path: Path) -> None:
    with (
        somebodys(tmp_path, "--requirepass", "secret") as port,
        pytest.raises(Failure, match=r"or a Redis that .* wants a password"),
    ):
        redis.prepare(this_machine_with(port))


@pytest.mark.system
def test_one_of_our_own_keeps_everything_and_ends_with_its_user(tmp_path: Path) -> None:
    machine = this_machine_with(free_port())
    address = redis.address_of(machine)

    with redis.provide(machine, tmp_path / "own") as broker:
        assert "the project's own server" in broker.how
        assert redis.missing(address) == []

    assert network.ask(address, size=0) is None


def test_the_package_is_installed_where_there_is_none(tmp_path: Path) -> None:
    for name in ("apt-get", "dpkg", "systemctl"):
        stand_in(tmp_path, name, "true")
    stand_in(tmp_path, "sudo", 'shift; exec "$@"')
    (tmp_path / "system" / "usr" / "sbin").mkdir(parents=True)

    redis.prepare(machine_with_port(tmp_path))

    (installed,) = [call for call in calls(tmp_path, "apt-get") if "install" in call]
    assert installed.endswith("install --yes --no-install-recommends redis-server")


def test_an_installed_package_is_not_installed_again(tmp_path: Path) -> None:
    for name in ("apt-get", "redis-server"):
        stand_in(tmp_path, name, "true")

    redis.prepare(machine_with_port(tmp_path))

    assert calls(tmp_path, "apt-get") == []


def test_where_nothing_can_be_installed_what_to_do_is_said(tmp_path: Path) -> None:
    with pytest.raises(Failure) as failure:
        redis.prepare(machine_with_port(tmp_path))

    for way in ("REDIS_HOST", "apt-get install redis-server", "make run"):
        assert way in failure.value.remedy


def test_something_else_on_the_port_is_named_and_nothing_is_started(
    tmp_path: Path,
) -> None:
    stand_in(tmp_path, "redis-server", "true")
    with (
        listening(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port,
        pytest.raises(Failure, match=f"127.0.0.1:{port}: Something else listens"),
    ):
        redis.prepare(machine_with_port(tmp_path, port))

    assert calls(tmp_path, "redis-server") == []


def test_no_local_broker_replaces_one_on_another_machine(tmp_path: Path) -> None:
    stand_in(tmp_path, "redis-server", "true")

    with pytest.raises(Failure, match=r"broker\.invalid:6379: REDIS_HOST names"):
        redis.prepare(bare_machine(tmp_path, REDIS_HOST="broker.invalid"))


@pytest.mark.parametrize("host", ["redis://127.0.0.1", "127.0.0.1:http", ":6379"])
def test_an_address_that_cannot_be_read_is_refused(host: str, tmp_path: Path) -> None:
    with pytest.raises(Failure, match="not of the form"):
        redis.address_of(bare_machine(tmp_path, REDIS_HOST=host))


def test_the_default_address_is_the_usual_one(tmp_path: Path) -> None:
    assert redis.address_of(bare_machine(tmp_path)).text == "127.0.0.1:6379"
