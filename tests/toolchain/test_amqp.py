"""Telling RabbitMQ from nobody and from something else, over real sockets."""

import socket

import pytest

from tests.toolchain.small_broker import hello, listening
from toolchain.servers.amqp import NOTHING, SOMETHING_ELSE, Probe, probe


def test_rabbitmq_is_recognised_by_product_and_version() -> None:
    with listening(hello(version="4.1.2")) as port:
        assert probe("127.0.0.1", port) == Probe("rabbitmq", "RabbitMQ", "4.1.2")


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    assert probe("127.0.0.1", port) == NOTHING


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n", id="a web server"),
        pytest.param(b"AMQP\x00\x01\x00\x00", id="another AMQP"),
        pytest.param(b"", id="hangs up"),
        pytest.param(None, id="says nothing"),
        pytest.param(hello()[:40], id="breaks off"),
        pytest.param(hello(product="Qpid"), id="another broker"),
        pytest.param(
            b"\x01\x00\x00\x00\x00\x00\x02\x00\x0a\xce", id="too short a frame"
        ),
        pytest.param(
            hello().replace(b"\x07product", b"\xf7product"), id="a broken table"
        ),
    ],
)
def test_something_else_listens(answer: bytes | None) -> None:
    with listening(answer) as port:
        assert probe("127.0.0.1", port, patience=0.3) == SOMETHING_ELSE


def test_an_encrypted_address_without_encryption_is_something_else() -> None:
    with listening(hello()) as port:
        assert probe("127.0.0.1", port, encrypted=True, patience=1) == SOMETHING_ELSE
