"""The proxy disturbs a connection by its mode."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from tests.support.eventually import eventually
from verification.chaos.proxy import Mode, Proxy, open_proxy


@dataclass
class Echo:
    """A server that answers what it hears, and remembers it."""

    heard: bytes = b""
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Answer one client."""
        self.writers.append(writer)
        with suppress(OSError):
            while data := await reader.read(1000):
                self.heard += data
                writer.write(data)
        writer.close()


@pytest.fixture
def echo() -> Echo:
    """Make a server."""
    return Echo()


@pytest.fixture
async def proxy(echo: Echo) -> AsyncIterator[Proxy]:
    """Run the proxy before the server."""
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    async with open_proxy(server.sockets[0].getsockname()[1]) as made:
        yield made
    server.close()


async def _says(proxy: Proxy, words: bytes, patience: float = 30) -> bytes | None:
    """Send something through the proxy; return the answer, None where the connection stays silent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        writer.write(words)
        return await asyncio.wait_for(reader.read(1000), patience)
    except TimeoutError:
        return None
    except ConnectionError:
        return b""
    finally:
        writer.transport.abort()


async def test_what_passes_is_answered(proxy: Proxy) -> None:
    assert await _says(proxy, b"hello") == b"hello"


async def test_who_is_refused_hears_the_end(proxy: Proxy, echo: Echo) -> None:
    proxy.set(Mode.REFUSE)

    assert await _says(proxy, b"hello") == b""
    assert echo.heard == b""


async def test_silence_takes_everything_and_ends_nothing(
    proxy: Proxy, echo: Echo
) -> None:
    proxy.set(Mode.SILENT)

    assert await _says(proxy, b"hello", 0.3) is None
    assert echo.heard == b""


async def test_a_mute_server_hears_and_is_not_heard(proxy: Proxy, echo: Echo) -> None:
    proxy.set(Mode.MUTE)

    assert await _says(proxy, b"hello", 0.3) is None
    await _is_heard(echo, b"hello")


async def test_a_slow_link_answers_late(proxy: Proxy) -> None:
    proxy.latency = 0.2
    proxy.set(Mode.SLOW)

    assert await _says(proxy, b"hello", 0.1) is None
    assert await _says(proxy, b"hello") == b"hello"


async def test_a_cut_ends_what_is_open_and_lets_the_next_pass(proxy: Proxy) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"hello")
    assert await reader.read(1000) == b"hello"

    proxy.cut()

    with suppress(ConnectionError):
        assert await reader.read(1000) == b""
    writer.transport.abort()
    assert await _says(proxy, b"again") == b"again"


async def test_a_link_is_cut_after_so_many_bytes(proxy: Proxy, echo: Echo) -> None:
    proxy.cut_after(3)

    assert await _says(proxy, b"hello") == b""
    await _is_heard(echo, b"hel")


async def _is_heard(echo: Echo, words: bytes) -> None:
    async def heard() -> bool:
        return echo.heard == words

    await eventually(heard, f"the server hears {words!r}")
