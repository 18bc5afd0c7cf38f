"""HTTP/2 at the door: a connection that only costs something is closed, and others are served."""

import asyncio
import ssl
from contextlib import suppress

import pytest

from tests.support.door import PATIENCE, Door

pytestmark = pytest.mark.system

SOURCE = ("127.0.0.5", 0)
HEADERS, RESET, SETTINGS, PING, CONTINUATION = 1, 3, 4, 6, 9
END_STREAM, END_HEADERS = 1, 4
CANCEL, LAST = (8).to_bytes(4), b"the last"


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Return a frame (RFC 9113, 4.1)."""
    head = len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4)
    return head + payload


def field(name: bytes, value: bytes, *, first: int = 0) -> bytes:
    """Return a header's field; with 0x40 first it can be repeated in one byte (RFC 7541, 6.2)."""
    assert len(name) < 127 > len(value)
    return bytes([first, len(name)]) + name + bytes([len(value)]) + value


GET = (
    b"\x82\x87" + field(b":path", b"/api/order") + field(b":authority", b"localhost")
)  # :method GET, :scheme https
REPEATABLE, AGAIN = field(b"x", b"y" * 100, first=0x40), b"\xbe"
END = frame(CONTINUATION, END_HEADERS, 1)
HOSTILE = {
    "streams that are reset at once": b"".join(
        frame(HEADERS, END_STREAM | END_HEADERS, stream, GET)
        + frame(RESET, 0, stream, CANCEL)
        for stream in range(1, 10_001, 2)
    ),
    "a header of megabytes": frame(HEADERS, END_STREAM, 1, GET)
    + frame(CONTINUATION, 0, 1, field(b"a", b"b" * 100) * 100) * 1_000
    + END,
    "a header that unfolds": frame(HEADERS, END_STREAM, 1, GET + REPEATABLE)
    + frame(CONTINUATION, 0, 1, AGAIN * 16_000) * 100
    + END,
    "pings without end": frame(PING, 0, 0, b"12345678") * 100_000,
}


async def answers(door: Door, sent: bytes) -> bytes:
    """Return what is answered to these frames and a ping after them, until that or the end of the connection."""
    certificate = door.real.system.state / "gateway" / "certificate.pem"
    tls = ssl.create_default_context(cafile=certificate)
    tls.set_alpn_protocols(["h2"])
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", door.port, ssl=tls, server_hostname="localhost", local_addr=SOURCE
    )
    begin = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0)
    writer.write(begin + sent + frame(PING, 0, 0, LAST))
    answered = b""
    async with asyncio.timeout(PATIENCE):
        with suppress(ConnectionError, ssl.SSLError):
            while LAST not in answered and (piece := await reader.read(2**16)):
                answered += piece
    writer.close()
    return answered


@pytest.mark.parametrize("what", HOSTILE)
async def test_an_http2_connection_that_only_costs_is_closed_and_others_are_served(
    door: Door, what: str
) -> None:
    assert LAST not in await answers(door, HOSTILE[what])

    served = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert b"alive" in await door.sends(served, source=SOURCE)


async def test_one_that_asks_for_something_is_answered_to_its_last_frame(
    door: Door,
) -> None:
    """So the test above can fail."""
    asked = frame(HEADERS, END_STREAM, 1, GET) + END

    assert LAST in await answers(door, asked)
