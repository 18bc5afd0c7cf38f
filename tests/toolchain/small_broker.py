"""A broker that says hello and nothing else: `python3 -m tests.toolchain.small_broker PORT`."""

import socket
import struct
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager


def hello(product: str = "RabbitMQ", version: str = "3.13.1") -> bytes:
    """The first frame that RabbitMQ sends."""
    capabilities = b"\x0ccapabilitiesF" + _long(b"\x12publisher_confirmst\x01")
    named = (
        b"\x07productS"
        + _long(product.encode())
        + b"\x07versionS"
        + _long(version.encode())
    )
    start = struct.pack(">HHBB", 10, 10, 0, 9) + _long(capabilities + named)
    payload = start + _long(b"PLAIN") + _long(b"en_US")
    return struct.pack(">BHI", 1, 0, len(payload)) + payload + b"\xce"


def free_port() -> int:
    """A port where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def listening(answer: bytes | None, port: int = 0) -> Iterator[int]:
    """Listen; answer each greeting so, or with silence; yield the port."""
    with socket.create_server(("127.0.0.1", port)) as server:
        thread = threading.Thread(target=_serve, args=(server, answer))
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def _serve(server: socket.socket, answer: bytes | None) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        with connection:
            connection.recv(8)
            if answer is None:
                connection.recv(1)
            else:
                connection.sendall(answer)


def _long(text: bytes) -> bytes:
    return struct.pack(">I", len(text)) + text


if __name__ == "__main__":
    with listening(hello(), int(sys.argv[1])):
        threading.Event().wait()
