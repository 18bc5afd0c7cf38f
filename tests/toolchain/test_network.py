"""Who answers at an address: each broker is told from nobody and from something else, over real sockets."""

from collections.abc import Callable
from functools import partial

import pytest

from tests.toolchain.small_broker import HELLO, free_port, listening
from toolchain.machine import network
from toolchain.servers import kafka, rabbitmq_node, redis

KAFKA = b"\0\0\0\x20\0\0\0\x07\0\0\0\x01"
"""How an answer begins that lists one broker: size, correlation id, number of brokers."""

Check = Callable[[tuple[str, int]], bool]
ANSWERS: dict[Check, bytes] = {
    rabbitmq_node.answers: HELLO,
    redis.answers: b"+PONG\r\n+OK\r\n",
    kafka.answers: KAFKA,
}


@pytest.mark.parametrize("check", ANSWERS)
def test_a_broker_that_answers_is_recognised(check: Check) -> None:
    with listening(ANSWERS[check]) as port:
        assert check(("127.0.0.1", port))


@pytest.mark.parametrize("check", ANSWERS)
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
def test_something_else_is_no_broker(check: Check, answer: bytes) -> None:
    with listening(answer) as port:
        assert not check(("127.0.0.1", port))


@pytest.mark.parametrize("check", ANSWERS)
def test_nobody_is_no_broker(check: Check) -> None:
    assert not check(("127.0.0.1", free_port()))


def test_who_says_nothing_is_not_waited_for() -> None:
    with listening(None) as port:
        assert network.ask(("127.0.0.1", port), b"?", size=1, patience=0.3) == b""


def test_an_encrypted_address_without_encryption_is_something_else() -> None:
    encrypted = partial(rabbitmq_node.answers, encrypted=True)

    with listening(HELLO) as port:
        assert not encrypted(("127.0.0.1", port))
