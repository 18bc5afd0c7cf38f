"""A proxy between a sidecar and its app that drops, duplicates or delays the messages it delivers.

All else passes: health checks, and what other services ask for.
"""

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

DELIVERIES = "/events/"
"""Where sidecars deliver, to ours and to the SDK's usual routes; `GET /events` is the feed."""
SHARE = 0.5
"""Of the messages, so many are dropped or delayed: the others show that all else works."""
DELAY = 4.0
"""Seconds: more than the pull waits for a message (the grace period, 3 s)."""
HOP_BY_HOP = frozenset({"connection", "content-length", "host", "transfer-encoding"})

Answer = tuple[int, str, bytes]
"""Status, content type and body."""


@dataclass
class Courier:
    """The proxy before the app at `target`; `port` is where it listens, `done` counts what it did to messages."""

    target: int = 0
    port: int = 0
    drops: bool = False
    duplicates: bool = False
    delays: bool = False
    delay: float = DELAY
    chance: random.Random = field(default_factory=random.Random)
    done: Counter[str] = field(default_factory=Counter)
    _http: aiohttp.ClientSession | None = None

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        is_delivery = request.method == "POST" and request.path.startswith(DELIVERIES)
        try:
            carry = self._deliver if is_delivery else self._forward
            status, content_type, answer = await carry(request, body)
        except (aiohttp.ClientError, OSError):
            # As an app that is not there: no answer, least of all one of the proxy's own.
            if request.transport:
                request.transport.abort()
            return web.Response(status=502)
        return web.Response(
            status=status, headers={"content-type": content_type}, body=answer
        )

    async def _deliver(self, request: web.BaseRequest, body: bytes) -> Answer:
        dropped: list[str] = []
        if self.drops:
            body, dropped = self._drop(body)
            if not body:
                return 200, "application/json", _success(dropped)
        if self.delays and self.chance.random() < SHARE:
            self.done["delayed"] += 1
            await asyncio.sleep(self.delay)
        answer = await self._forward(request, body)
        if self.duplicates:
            self.done["duplicated"] += 1
            answer = await self._forward(request, body)
        return _with(answer, dropped)

    def _drop(self, body: bytes) -> tuple[bytes, list[str]]:
        """Return what is left of a delivery, nothing where all is dropped; and the entries that are gone."""
        message = json.loads(body)
        if "entries" not in message:
            if not self._is_dropped():
                return body, []
            return b"", []
        kept: list[Any] = []
        dropped: list[str] = []
        for entry in message["entries"]:
            if self._is_dropped():
                dropped.append(entry["entryId"])
            else:
                kept.append(entry)
        if not dropped:
            return body, []
        return json.dumps(
            {**message, "entries": kept}
        ).encode() if kept else b"", dropped

    def _is_dropped(self) -> bool:
        hit = self.chance.random() < SHARE
        self.done["dropped"] += hit
        return hit

    async def _forward(self, request: web.BaseRequest, body: bytes) -> Answer:
        assert self._http
        url = f"http://127.0.0.1:{self.target}{request.path_qs}"
        headers = {
            name: value
            for name, value in request.headers.items()
            if name.lower() not in HOP_BY_HOP
        }
        async with self._http.request(
            request.method, url, data=body or None, headers=headers
        ) as answer:
            content_type = answer.headers.get("content-type", "text/plain")
            return answer.status, content_type, await answer.read()


def _success(entries: list[str]) -> bytes:
    """Return the answer that acknowledges a delivery, of one message or in bulk."""
    if not entries:
        return b'{"status": "SUCCESS"}'
    return json.dumps({"statuses": _statuses(entries)}).encode()


def _statuses(entries: list[str]) -> list[dict[str, str]]:
    return [{"entryId": each, "status": "SUCCESS"} for each in entries]


def _with(answer: Answer, dropped: list[str]) -> Answer:
    status, content_type, body = answer
    if not dropped or status != 200:
        return answer
    merged = json.loads(body)
    merged["statuses"] += _statuses(dropped)
    return status, content_type, json.dumps(merged).encode()


@asynccontextmanager
async def open_courier() -> AsyncIterator[Courier]:
    """Run a courier; its `target` is set before anybody asks it."""
    courier = Courier()
    # No connection is kept: one that the app closes would fail the next message.
    connector = aiohttp.TCPConnector(force_close=True, limit=0)
    timeout = aiohttp.ClientTimeout(total=None)
    server = web.Server(courier._serve, access_log=None)
    runner = web.ServerRunner(server, shutdown_timeout=1)
    await runner.setup()
    try:
        async with aiohttp.ClientSession(
            connector=connector, timeout=timeout, auto_decompress=False
        ) as http:
            courier._http = http
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            courier.port = runner.addresses[0][1]
            yield courier
    finally:
        await runner.cleanup()
