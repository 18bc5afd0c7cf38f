"""Who answers at a broker's address (RabbitMQ, nobody, something else), by a greeting in AMQP 0-9-1."""

import socket
import ssl
import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

GREETING = b"AMQP\x00\x00\x09\x01"
CONNECTION_START = (10, 10)
METHOD_FRAME = 1


@dataclass(frozen=True)
class Probe:
    """What was found at an address; product and version are the broker's own words."""

    found: Literal["rabbitmq", "nothing", "something else"]
    product: str = ""
    version: str = ""


NOTHING = Probe("nothing")
SOMETHING_ELSE = Probe("something else")


def probe(
    host: str, port: int, *, encrypted: bool = False, patience: float = 3
) -> Probe:
    """Greet whoever listens there and tell what it is."""
    try:
        connection = socket.create_connection((host, port), patience)
    except OSError:
        return NOTHING
    with connection:
        try:
            return _greet(_encrypt(connection, host) if encrypted else connection)
        except (OSError, struct.error, UnicodeDecodeError):
            # It listens, but hangs up, says nothing in time, or speaks another language.
            return SOMETHING_ELSE


def _encrypt(connection: socket.socket, host: str) -> socket.socket:
    return ssl.create_default_context().wrap_socket(connection, server_hostname=host)


def _greet(connection: socket.socket) -> Probe:
    connection.sendall(GREETING)
    kind, _, size = struct.unpack(">BHI", _receive(connection, 7))
    if kind != METHOD_FRAME or size > 100_000:
        return SOMETHING_ELSE
    payload = _receive(connection, size)
    if struct.unpack_from(">HH", payload) != CONNECTION_START:
        return SOMETHING_ELSE
    # Class and method, two bytes each, two of protocol version, then the properties behind their length.
    properties = _texts(payload[10 : 10 + struct.unpack_from(">I", payload, 6)[0]])
    product, version = properties.get("product", ""), properties.get("version", "")
    return (
        Probe("rabbitmq", product, version)
        if "rabbitmq" in product.lower()
        else SOMETHING_ELSE
    )


def _receive(connection: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        part = connection.recv(size - len(received))
        if not part:
            raise ConnectionError
        received += part
    return received


def _texts(table: bytes) -> dict[str, str]:
    """The texts in a table of properties; what else is in it is passed over."""
    texts: dict[str, str] = {}
    # A kind of value that RabbitMQ does not send ends the reading; what was read until then stands.
    with suppress(KeyError):
        while table:
            name, rest = _short_text(table)
            value, table = _value(rest)
            if rest.startswith(b"S"):
                texts[name] = value.decode()
    return texts


def _short_text(table: bytes) -> tuple[str, bytes]:
    end = 1 + table[0]
    return table[1:end].decode(), table[end:]


def _value(table: bytes) -> tuple[bytes, bytes]:
    kind, body = table[:1], table[1:]
    if kind in (b"S", b"F", b"A"):
        size = struct.unpack_from(">I", body)[0]
        return body[4 : 4 + size], body[4 + size :]
    size = {b"t": 1, b"b": 1, b"I": 4, b"l": 8, b"V": 0}[kind]
    return body[:size], body[size:]
