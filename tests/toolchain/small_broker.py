"""A server that answers everybody the same, for instance as RabbitMQ greets."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

HELLO = b"\x01\x00\x00\x00\x00\x00\x08\x00\x0a\x00\x0a\x00\x09\x00\x00\xce"
"""How a frame of RabbitMQ begins that answers the protocol header: Connection.Start."""


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
