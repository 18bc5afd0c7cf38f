"""Whether somebody answers at an address: one question, and the first bytes of the answer."""

import socket
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl


def ask(
    address: tuple[str, int],
    question: bytes = b"",
    *,
    size: int,
    encrypted: "bool | ssl.SSLContext" = False,
    patience: float = 3.0,
) -> bytes | None:
    """Return up to `size` bytes of the answer, as far as it comes; None where nobody listens."""
    try:
        connection = socket.create_connection(address, patience)
    except OSError:
        return None
    with connection, suppress(OSError):  # hangs up, speaks no TLS
        if not encrypted:
            return _answer(connection, question, size)
        context = _context() if encrypted is True else encrypted
        with context.wrap_socket(connection, server_hostname=address[0]) as spoken:
            return _answer(spoken, question, size)
    return b""


def _answer(connection: socket.socket, question: bytes, size: int) -> bytes:
    answer = b""
    with suppress(OSError):  # hangs up, stays silent
        connection.sendall(question)
        while len(answer) < size and (part := connection.recv(size - len(answer))):
            answer += part
    return answer


def _context() -> "ssl.SSLContext":
    import ssl  # noqa: PLC0415 - each supervisor would carry its 5 MB

    return ssl.create_default_context()
