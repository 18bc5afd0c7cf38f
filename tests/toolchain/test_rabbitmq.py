"""Where RabbitMQ comes from: the one that runs, else the package."""

import socket
from pathlib import Path

import pytest

from tests.toolchain.small_broker import HELLO, listening
from tests.toolchain.stand_ins import bare_machine, calls, program, stand_in
from toolchain.machine import Machine
from toolchain.machine.failure import Failure
from toolchain.servers import rabbitmq


def machine_with_port(folder: Path, port: int | None = None) -> Machine:
    """A bare machine whose broker is configured on that port, or on one where nothing listens."""
    if port is None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
    return bare_machine(folder, RABBITMQ_URL=f"amqp://guest:guest@127.0.0.1:{port}")


def test_one_that_answers_is_used_before_anything_is_started(tmp_path: Path) -> None:
    with listening(HELLO) as port:
        machine = machine_with_port(tmp_path, port)
        with rabbitmq.provide(machine, tmp_path / "own") as broker:
            assert broker.how == f"already running at 127.0.0.1:{port}"
            assert broker.server is None

    assert not (tmp_path / "own").exists()


def test_preparing_says_that_the_one_that_answers_is_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with listening(HELLO) as port:
        rabbitmq.prepare(machine_with_port(tmp_path, port))

    assert "RabbitMQ  already runs" in capsys.readouterr().out


def test_the_package_is_installed_where_there_is_none(tmp_path: Path) -> None:
    for name in ("apt-get", "dpkg", "systemctl"):
        stand_in(tmp_path, name, "true")
    stand_in(tmp_path, "sudo", 'shift; exec "$@"')
    (tmp_path / "system" / "usr" / "sbin").mkdir(parents=True)

    rabbitmq.prepare(machine_with_port(tmp_path))

    assert (
        "install --yes --no-install-recommends rabbitmq-server"
        in calls(tmp_path, "apt-get")[-1]
    )


def test_an_installed_package_is_not_installed_again(tmp_path: Path) -> None:
    stand_in(tmp_path, "apt-get", "true")
    program(
        tmp_path / "system" / "usr" / "lib" / "rabbitmq" / "bin" / "rabbitmq-server",
        "true",
    )

    rabbitmq.prepare(machine_with_port(tmp_path))

    assert calls(tmp_path, "apt-get") == []


def test_where_nothing_can_be_installed_what_to_do_is_said(tmp_path: Path) -> None:
    with pytest.raises(Failure) as failure:
        rabbitmq.prepare(machine_with_port(tmp_path))

    for remedy in ("RABBITMQ_URL", "apt-get install rabbitmq-server"):
        assert remedy in failure.value.remedy


def test_something_else_on_the_port_is_named_and_nothing_is_started(
    tmp_path: Path,
) -> None:
    with (
        listening(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port,
        pytest.raises(Failure, match=f"127.0.0.1:{port}: Something else listens"),
    ):
        rabbitmq.prepare(machine_with_port(tmp_path, port))


def test_no_local_broker_replaces_one_on_another_machine(tmp_path: Path) -> None:
    machine = bare_machine(tmp_path, RABBITMQ_URL="amqp://me:secret@broker.invalid")

    with pytest.raises(
        Failure, match=r"broker\.invalid:5672: RABBITMQ_URL names another"
    ) as failure:
        rabbitmq.prepare(machine)

    assert "secret" not in str(failure.value)


@pytest.mark.parametrize(
    "url", ["amqp://me:secret@127.0.0.1:{}", "amqp://127.0.0.1:{}/shop"]
)
def test_a_node_of_ours_does_not_pretend_to_know_other_users_or_hosts(
    url: str, tmp_path: Path
) -> None:
    port = rabbitmq.address_of(machine_with_port(tmp_path / "any")).port

    with pytest.raises(Failure, match="knows only guest/guest"):
        rabbitmq.prepare(bare_machine(tmp_path / "one", RABBITMQ_URL=url.format(port)))


@pytest.mark.parametrize("url", ["localhost:5672", "http://localhost", "amqp://"])
def test_an_address_that_cannot_be_read_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(Failure, match="not of the form"):
        rabbitmq.address_of(bare_machine(tmp_path, RABBITMQ_URL=url))


def test_the_default_address_is_the_usual_one(tmp_path: Path) -> None:
    assert rabbitmq.address_of(bare_machine(tmp_path)).text == "127.0.0.1:5672"
