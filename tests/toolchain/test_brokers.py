"""What holds for every broker: one that answers is used, else one of the project's own, where that can be."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.toolchain.small_broker import HELLO, listening
from tests.toolchain.stand_ins import bare_machine, calls, debian, program, stand_in
from toolchain.machine import Machine, network
from toolchain.machine.failure import Failure
from toolchain.runfile import free_port
from toolchain.servers import kafka, rabbitmq, rabbitmq_node, redis
from toolchain.servers.broker import Product

KAFKA = b"\0\0\0\x20\0\0\0\x07\0\0\0\x01"
"""How an answer begins that lists one broker: size, correlation id, number of brokers."""


@dataclass(frozen=True)
class Kind:
    """A broker, how its address is written, what it answers, and the remedies where it cannot be had."""

    product: Product
    variable: str
    form: str
    answers: Callable[[tuple[str, int]], bool]
    answer: bytes
    remedies: tuple[str, ...]

    def on_machine(self, folder: Path, port: int | None = None) -> Machine:
        """Return a bare machine whose broker is configured on that port, or on one where nothing listens."""
        return self.at(folder, self.form.format(port or free_port()))

    def at(self, folder: Path, address: str) -> Machine:
        """Return a bare machine whose broker is configured to be there."""
        return bare_machine(folder, **{self.variable: address})


KINDS = {
    "rabbitmq": Kind(
        rabbitmq.PRODUCT,
        "RABBITMQ_URL",
        "amqp://guest:guest@127.0.0.1:{}",
        rabbitmq_node.answers,
        HELLO,
        ("RABBITMQ_URL", "apt-get install rabbitmq-server"),
    ),
    "redis": Kind(
        redis.PRODUCT,
        "REDIS_HOST",
        "127.0.0.1:{}",
        redis.answers,
        b"+PONG\r\n+OK\r\n",
        ("REDIS_HOST", "apt-get install redis-server", "make run"),
    ),
    "kafka": Kind(
        kafka.PRODUCT,
        "KAFKA_BROKERS",
        "127.0.0.1:{}",
        kafka.answers,
        KAFKA,
        ("KAFKA_BROKERS", "apt-get install", "JAVA_HOME", "BROKER=redis"),
    ),
}
PROGRAMS = {
    "rabbitmq": "system/usr/lib/rabbitmq/bin/rabbitmq-server",
    "redis": "programs/redis-server",
}
"""Where the programs of Debian's packages are put, on the machine that a test's folder is."""


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Return each broker in turn."""
    return KINDS[request.param]


def test_one_that_answers_is_used_and_nothing_is_started(
    kind: Kind, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with listening(kind.answer) as port:
        machine = kind.on_machine(tmp_path, port)
        kind.product.prepare(machine)
        with kind.product.provide(machine, tmp_path / "own") as broker:
            assert broker.how == f"already running at 127.0.0.1:{port}"
            assert broker.server is None

    assert "already runs" in capsys.readouterr().out
    assert not (tmp_path / "own").exists()


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n", id="a web server"),
        pytest.param(b"AMQP\x00\x01\x00\x00", id="another AMQP"),
        pytest.param(b"", id="hangs up"),
        pytest.param(HELLO[:9], id="breaks off"),
        pytest.param(b"-NOAUTH Authentication required.\r\n", id="wants a password"),
        pytest.param(KAFKA[:8] + bytes(4), id="a Kafka that starts"),
    ],
)
def test_something_else_on_the_port_is_named_and_nothing_is_started(
    kind: Kind, answer: bytes, tmp_path: Path
) -> None:
    with listening(answer) as port:
        assert not kind.answers(("127.0.0.1", port))
        with pytest.raises(Failure, match=f"127.0.0.1:{port}: Something else listens"):
            kind.product.prepare(kind.on_machine(tmp_path, port))


def test_the_remedy_names_other_ports_than_those_that_are_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OFFSET", "1000")
    kind = KINDS["redis"]
    with listening(b"") as port, pytest.raises(Failure) as failure:
        kind.product.prepare(kind.on_machine(tmp_path, port))

    assert failure.value.remedy.endswith("use other ports: make run OFFSET=2000")


@pytest.mark.parametrize("name", PROGRAMS)
def test_set_up_names_no_port_that_another_system_may_have(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    debian(tmp_path)

    KINDS[name].product.prepare(KINDS[name].on_machine(tmp_path))

    assert "`make run` starts the project's own" in capsys.readouterr().out


def test_no_local_broker_replaces_one_on_another_machine(
    kind: Kind, tmp_path: Path
) -> None:
    elsewhere = kind.form.replace("127.0.0.1", "broker.invalid").format(9)

    with pytest.raises(Failure, match=rf"broker\.invalid:9: {kind.variable} names"):
        kind.product.prepare(kind.at(tmp_path, elsewhere))


def test_where_nothing_can_be_installed_what_to_do_is_said(
    kind: Kind, tmp_path: Path
) -> None:
    assert not kind.answers(("127.0.0.1", free_port()))
    with pytest.raises(Failure) as failure:
        kind.product.prepare(kind.on_machine(tmp_path))

    for remedy in kind.remedies:
        assert remedy in failure.value.remedy


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_package_is_installed_where_there_is_none(
    name: str, tmp_path: Path
) -> None:
    debian(tmp_path)

    KINDS[name].product.prepare(KINDS[name].on_machine(tmp_path))

    (installed,) = [call for call in calls(tmp_path, "apt-get") if "install" in call]
    assert installed.endswith(f"install --yes --no-install-recommends {name}-server")


@pytest.mark.parametrize("name", PROGRAMS)
def test_an_installed_package_is_not_installed_again(name: str, tmp_path: Path) -> None:
    stand_in(tmp_path, "apt-get", "true")
    program(tmp_path / PROGRAMS[name], "true")

    KINDS[name].product.prepare(KINDS[name].on_machine(tmp_path))

    assert calls(tmp_path, "apt-get") == []


@pytest.mark.parametrize(
    ("name", "address"),
    [
        *[("rabbitmq", each) for each in ("localhost:5672", "http://here", "amqp://")],
        *[("redis", each) for each in ("redis://127.0.0.1", "127.0.0.1:http", ":6379")],
        *[("kafka", each) for each in ("127.0.0.1", "127.0.0.1:http", "127.0.0.1:1,")],
    ],
)
def test_an_address_that_cannot_be_read_is_refused(
    name: str, address: str, tmp_path: Path
) -> None:
    with pytest.raises(Failure, match="not of the form"):
        KINDS[name].product.prepare(KINDS[name].at(tmp_path, address))


def test_the_default_addresses_are_the_usual_ones(tmp_path: Path) -> None:
    machine = bare_machine(tmp_path)

    assert rabbitmq.address_of(machine).text == "127.0.0.1:5672"
    assert redis.address_of(machine).text == "127.0.0.1:6379"
    assert [each.text for each in kafka.addresses_of(machine)] == ["127.0.0.1:9092"]


def test_a_kafka_on_another_machine_makes_a_cluster_that_nothing_here_replaces(
    tmp_path: Path,
) -> None:
    machine = bare_machine(tmp_path, KAFKA_BROKERS="127.0.0.1:9,broker.invalid:9092")

    with pytest.raises(Failure, match=r"broker\.invalid:9092: KAFKA_BROKERS names"):
        kafka.PRODUCT.prepare(machine)


@pytest.mark.parametrize(
    "url", ["amqp://me:secret@127.0.0.1:{}", "amqp://127.0.0.1:{}/shop"]
)
def test_a_node_of_ours_does_not_pretend_to_know_other_users_or_hosts(
    url: str, tmp_path: Path
) -> None:
    machine = bare_machine(tmp_path, RABBITMQ_URL=url.format(free_port()))

    with pytest.raises(Failure, match="knows only guest/guest") as failure:
        rabbitmq.PRODUCT.prepare(machine)

    assert "secret" not in str(failure.value)


def test_who_says_nothing_is_not_waited_for() -> None:
    with listening(None) as port:
        assert network.ask(("127.0.0.1", port), b"?", size=1, patience=0.3) == b""


def test_an_encrypted_address_without_encryption_is_something_else() -> None:
    encrypted = partial(rabbitmq_node.answers, encrypted=True)

    with listening(HELLO) as port:
        assert not encrypted(("127.0.0.1", port))
