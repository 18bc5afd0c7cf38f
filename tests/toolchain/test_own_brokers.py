"""Redis and Kafka as servers of the project's own, for real: they come back, and leave nothing behind."""

import os
import socket
from pathlib import Path

import pytest

from tests.support.sockets import listening_at
from tests.toolchain.stand_ins import CLONE, processes_of
from toolchain.machine import Machine
from toolchain.machine.failure import Failure
from toolchain.run import BROKERS
from toolchain.runfile import VARIABLES, free_port
from toolchain.servers import kafka, redis
from toolchain.supervise import server
from toolchain.supervise.server import Server

pytestmark = pytest.mark.system

MAKE = {"redis": redis.server_in, "kafka": kafka.server_in}


@pytest.fixture
def port() -> int:
    """Find a port for the server."""
    return free_port()


@pytest.fixture(params=MAKE)
def own(request: pytest.FixtureRequest, port: int, tmp_path: Path) -> Server:
    """Make each broker's server, with its data in a folder of its own."""
    make = MAKE[request.param]
    return make(Machine(CLONE, os.environ.copy()), tmp_path / "its data", port)


def test_it_serves_only_this_machine_and_leaves_nothing_behind(own: Server) -> None:
    with server.running(own) as started:
        assert own.serves()
        assert listening_at(started.itself.pid) == {"127.0.0.1"}

    # Java says 143 of a SIGTERM that it has followed; a kill would be -9.
    assert started.itself.returncode in (0, 143)
    assert not processes_of(own.folder)
    assert not own.serves()


def test_it_comes_back_after_a_kill_and_after_a_stop(own: Server) -> None:
    for end in (server.kill, server.stop, server.stop):
        end(server.start(own))

    assert not processes_of(own.folder)


def test_one_that_cannot_start_says_its_last_words_and_leaves_nothing(
    own: Server, port: int
) -> None:
    with socket.socket() as somebody_else:
        somebody_else.bind(("127.0.0.1", port))

        with pytest.raises(Failure, match="could not be started") as failure:
            server.start(own)

    assert "Address already in use" in failure.value.why
    assert not processes_of(own.folder)


def test_the_one_that_answers_is_used_and_is_there_afterwards(
    own: Server, port: int, tmp_path: Path
) -> None:
    name = own.name.lower()
    configured = {**os.environ, VARIABLES[name]: f"127.0.0.1:{port}"}
    with server.running(own) as started:
        machine = Machine(CLONE, configured)
        with BROKERS[name].provide(machine, tmp_path / "other") as broker:
            assert broker.how.startswith("already running")
            assert broker.server is None
        assert started.itself.poll() is None

    assert not (tmp_path / "other").exists()
