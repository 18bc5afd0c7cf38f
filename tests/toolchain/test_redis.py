"""Where Redis comes from: the one that runs, else the package; and what is said of a careless one."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.toolchain.stand_ins import CLONE, until
from toolchain.machine import Machine, network
from toolchain.machine.failure import Failure
from toolchain.runfile import free_port
from toolchain.servers import redis
from toolchain.servers.broker import Address
from toolchain.supervise import server


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

    with (
        server.running(own),
        redis.PRODUCT.provide(machine, tmp_path / "other") as broker,
    ):
        assert broker.how.startswith("already running")
        assert broker.server is None
        redis.PRODUCT.prepare(machine)

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
        redis.PRODUCT.provide(this_machine_with(port), tmp_path / "own") as broker,
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
        redis.PRODUCT.prepare(this_machine_with(port))


@pytest.mark.system
def test_one_of_our_own_keeps_everything_and_ends_with_its_user(tmp_path: Path) -> None:
    machine = this_machine_with(free_port())
    address = redis.address_of(machine)

    with redis.PRODUCT.provide(machine, tmp_path / "own") as broker:
        assert "the project's own server" in broker.how
        assert redis.missing(address) == []

    assert network.ask(address, size=0) is None
