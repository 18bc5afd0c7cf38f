"""A TCP proxy that can disturb a connection: between a sidecar and its broker, an app and its database."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar


class Mode(StrEnum):
    """What the proxy does with connections and bytes.

    SILENT reads everything and forwards nothing, and keeps the connection open. MUTE forwards what the client
    sends and swallows every answer: the broker has the event, and nobody learns of it.
    """

    PASS = "pass"
    REFUSE = "refuse"
    SLOW = "slow"
    SILENT = "silent"
    MUTE = "mute"


@dataclass
class Proxy:
    """One proxy before one server on this machine; `port` is where it listens."""

    target: int
    port: int = 0
    mode: Mode = Mode.PASS
    latency: float = 0.2
    # Bytes from clients that are still forwarded before every connection is reset; None is without limit.
    budget: int | None = None
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    def set(self, mode: Mode) -> None:
        """Change what happens from now on; what is refused from now on is reset where it is open."""
        was, self.mode = self.mode, mode
        # What was swallowed is gone: a connection that went on after it would carry a torn stream.
        if mode is Mode.REFUSE or was in {Mode.SILENT, Mode.MUTE}:
            self.cut()

    def cut(self) -> None:
        """Reset every open connection."""
        self.budget = None
        for writer in list(self._open):
            writer.transport.abort()

    def cut_after(self, count: int) -> None:
        """Reset every connection once clients have sent so many more bytes."""
        self.budget = count

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if self.mode is Mode.REFUSE:
            writer.transport.abort()
            return
        try:
            beyond, server = await self._reach()
        except OSError:
            writer.transport.abort()
            return
        pair = {writer, server}
        self._open |= pair
        try:
            ways = self._carry(reader, server, up=True), self._carry(beyond, writer)
            # Cancelled where the whole run is broken off: asyncio would complain of each connection.
            with suppress(asyncio.CancelledError):
                await asyncio.gather(*ways)
        finally:
            self._open -= pair
            for each in pair:
                each.transport.abort()

    async def _reach(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.target)

    async def _carry(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        *,
        up: bool = False,
    ) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                await self._forward(data, sink, up=up)
        if not sink.is_closing():
            with suppress(OSError):
                sink.write_eof()

    async def _forward(
        self, data: bytes, sink: asyncio.StreamWriter, *, up: bool
    ) -> None:
        if self.mode is Mode.SLOW:
            await asyncio.sleep(self.latency)
        if self.mode is Mode.SILENT or (self.mode is Mode.MUTE and not up):
            return
        spent = up and self.budget is not None and len(data) >= self.budget
        sink.write(data[: self.budget] if spent else data)
        await sink.drain()
        if spent:
            self.cut()
        elif up and self.budget is not None:
            self.budget -= len(data)


ProxyT = TypeVar("ProxyT", bound=Proxy)


@asynccontextmanager
async def open_proxy(target: int) -> AsyncIterator[Proxy]:
    """Run a proxy before a server's port; at the end every connection is reset."""
    async with serving(Proxy(target)) as proxy:
        yield proxy


@asynccontextmanager
async def serving(proxy: ProxyT) -> AsyncIterator[ProxyT]:
    """Run this proxy; at the end every connection is reset."""
    server = await asyncio.start_server(proxy._serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        proxy.cut()
