"""Who answers at a Kafka address, by one question in Kafka's own protocol: which brokers are there?"""

import socket
import struct
from typing import Literal

METADATA, VERSION, QUESTION = 3, 1, 7
Found = Literal["kafka", "starting", "nothing", "something else"]


def probe(host: str, port: int, patience: float = 3) -> Found:
    """Ask whoever listens there for its brokers; one that is still starting knows of none."""
    try:
        connection = socket.create_connection((host, port), patience)
    except OSError:
        return "nothing"
    with connection:
        try:
            return _ask(connection)
        except (OSError, struct.error):
            # It listens, but hangs up, says nothing in time, or speaks another language.
            return "something else"


def _ask(connection: socket.socket) -> Found:
    # No name for ourselves (-1), and no topic that we would hear of.
    body = struct.pack(">hhihi", METADATA, VERSION, QUESTION, -1, 0)
    connection.sendall(struct.pack(">i", len(body)) + body)
    (size,) = struct.unpack(">i", _receive(connection, 4))
    if not 8 <= size <= 1_000_000:
        return "something else"
    question, brokers = struct.unpack_from(">ii", _receive(connection, size))
    if question != QUESTION:
        return "something else"
    return "kafka" if brokers > 0 else "starting"


def _receive(connection: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        part = connection.recv(size - len(received))
        if not part:
            raise ConnectionError
        received += part
    return received
