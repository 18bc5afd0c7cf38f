"""A connection to a service, and what it may cost: uvicorn --http=chassis.connection:Connection.

uvicorn itself waits without end for the first request of a connection, and for the rest of any request that has
begun; and it keeps as many connections, and as many bytes of headers, as somebody sends.
"""

from asyncio import TimerHandle, Transport
from typing import Any, ClassVar

import httptools
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from chassis.errors import MalformedRequest, problem


class Connection(HttpToolsProtocol):
    """A connection that is closed where its request does not arrive, or has headers without end."""

    WITHIN: ClassVar = 20.0
    """Seconds within which a request arrives, once it has begun."""
    AGAIN: ClassVar = 1.0
    """Seconds for what came while the process stood still."""
    MOST: ClassVar = 1000
    """Connections of one process; one more closes the one that has been idle for longest."""
    MOST_HEADERS: ClassVar = 100
    MOST_BYTES: ClassVar = 32 * 1024
    """Of the address and the headers of a request."""

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - uvicorn's
        super().__init__(*arguments, **options)
        self._timer: TimerHandle | None = None
        self._is_arriving = self._is_in_head = False
        # Of what has come of a head that is not complete, and of the headers that are.
        self._size = self._head_size = 0
        self._active_at = 0.0

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Wait for the first request, for as long as between two."""
        super().connection_made(transport)
        self._timer = self.loop.call_later(self.timeout_keep_alive, self._close)
        if len(self.connections) > self.MOST:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what has come; the rest of a request that has begun is to come in time."""
        was_arriving = self._is_arriving
        if self._is_in_head:
            self._size += len(data)
        super().data_received(data)
        if not self._is_arriving:
            self._stop_waiting()
            self._active_at = self.loop.time()
        elif self._is_in_head and self._size > self.MOST_BYTES:
            self.transport.close()
        elif not was_arriving:
            self._stop_waiting()
            self._timer = self.loop.call_later(self.WITHIN, self._look_again)

    def on_message_begin(self) -> None:
        """Note that a request begins."""
        self._is_arriving = self._is_in_head = True
        self._size = self._head_size = 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; where there are too many, uvicorn answers 400."""
        super().on_header(name, value)
        self._head_size += len(name) + len(value)
        if self._head_size > self.MOST_BYTES or len(self.headers) > self.MOST_HEADERS:
            raise httptools.HttpParserError("too many headers")

    def on_headers_complete(self) -> None:
        """Note that the body follows, if any."""
        self._is_in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Note that all of the request is there."""
        self._is_arriving = False
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no request, with a problem document."""
        answer = problem(MalformedRequest())
        headers = [*self.server_state.default_headers, *answer.raw_headers]
        lines = b"".join(b"%b: %b\r\n" % each for each in headers)
        head = b"%b%bconnection: close\r\n\r\n" % (STATUS_LINE[400], lines)
        self.transport.write(head + bytes(answer.body))
        self.transport.close()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is asked, or being answered, here."""
        # uvicorn has none before the first request.
        cycle: RequestResponseCycle | None = self.cycle
        return not self._is_arriving and (cycle is None or cycle.response_complete)

    def _make_room(self) -> None:
        others = (each for each in self.connections if isinstance(each, Connection))
        idle = [each for each in others if each is not self and each.is_idle]
        # What never asked anything has been idle since 0.
        longest = min(idle, key=lambda each: each._active_at, default=self)
        longest.transport.close()

    def _look_again(self) -> None:
        self._timer = self.loop.call_later(self.AGAIN, self._close)

    def _close(self) -> None:
        self.transport.close()

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
