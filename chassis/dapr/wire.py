"""One HTTP call to the sidecar, and what can become of it.

aiohttp carries it, which Dapr's SDK brings along: a call takes a ninth of the time that it takes with httpx.
"""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import aiohttp

KEPT = 5.0
"""Seconds for which an idle connection is kept: less than any server here keeps it."""
LARGE = 512 * 1024
"""Bytes of a body that is written piece by piece."""
LARGEST_ANSWER = 8 * 1024 * 1024
"""Bytes of an answer that are read, four times the largest page: daprd passes on whatever a mail server says."""
LONGEST_HEADER = 64 * 1024
"""Bytes of a header that is read: daprd passes on those of whatever an output binding talks to."""


class NotConnected(Exception):
    """There was no connection on which the call could have left."""


class NotAnswered(Exception):
    """The call may have left, and was not answered, or not to the end."""


@dataclass(frozen=True)
class Call:
    """A request to the sidecar; `query` may name a parameter more than once."""

    method: str
    path: str
    body: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Answer:
    """What was answered: the status, the whole body, and the headers, whose names have no case."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode(errors="replace")

    def json(self) -> Any:  # noqa: ANN401 - JSON may be anything
        """Return the body, parsed."""
        return self._document

    @cached_property
    def _document(self) -> Any:  # noqa: ANN401 - JSON may be anything
        return json.loads(self.body)


class Wire(Protocol):
    """Carries calls to one sidecar."""

    async def carry(self, call: Call) -> Answer:
        """Return the answer to a call; raises NotConnected, NotAnswered."""

    async def close(self) -> None:
        """Close every connection."""


class HttpWire:
    """The wire to the sidecar at `url`; `traces` watch its calls."""

    def __init__(self, url: str, traces: Sequence[aiohttp.TraceConfig] = ()) -> None:
        self._url = url
        self._traces = traces
        self._session: aiohttp.ClientSession | None = None

    async def carry(self, call: Call) -> Answer:
        """Return the answer to a call."""
        session = self._session = self._session or self._open()
        try:
            async with session.request(
                call.method,
                self._url + call.path,
                params=call.query,
                data=_piecewise(call.body),
                headers=call.headers,
                # The sidecar's token is for the sidecar, and what follows would not be its answer.
                allow_redirects=False,
            ) as answer:
                return Answer(answer.status, await _read(answer), answer.headers)
        except aiohttp.ClientConnectorError as error:
            raise NotConnected("no connection") from error
        except aiohttp.ClientError as error:
            raise NotAnswered(type(error).__name__) from error

    async def close(self) -> None:
        """Close every connection."""
        if self._session:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        # Made by the first call: a session belongs to the event loop that it is made in.
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(keepalive_timeout=KEPT, limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(),  # the sidecar's client limits a call as a whole
            trace_configs=[*self._traces],
            max_line_size=LONGEST_HEADER,
            max_field_size=LONGEST_HEADER,
        )


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for piece in answer.content.iter_any():
        body += piece
        if len(body) > LARGEST_ANSWER:
            raise NotAnswered(f"no more than {LARGEST_ANSWER} bytes are read")
    return bytes(body)


def _piecewise(body: str | None) -> bytes | io.BytesIO | None:
    # Written at once, a large one would hold up the event loop.
    written = body.encode() if body else None
    return io.BytesIO(written) if written and len(written) >= LARGE else written
