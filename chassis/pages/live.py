"""The live parts of pages, by server-sent events: one poll of the database feeds all streams that show the same.

A stream sends a part of its page as HTML whenever it has changed; without script, a reload shows as much.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from fastapi.sse import ServerSentEvent
from sqlalchemy.orm import Session

from chassis.errors import Rejected
from chassis.http.units import Read
from chassis.pages import session

_log = logging.getLogger(__name__)

MOST = 100
"""Streams of one process; a page beyond them says that it is not live."""
AT_ONCE = 2
"""Polls that read the database at a time: however slow it is, the other threads are left to whoever asks."""
INTERVAL = 1.0
"""Seconds between two polls."""
LATER = 30_000
"""Milliseconds after which a page that got no stream asks again."""
NOT_LIVE = "not-live"
"""The event that tells a page why it is not live just now (chassis/pages/static/pages.js)."""
UNREADABLE = "the service cannot read its database; trying again."

SIGNED_OUT = "your session has ended: reload this page to sign in."

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")
Look = Callable[[Read, K], Awaitable[str]]
"""Returns a part of a page as HTML; the key says which: an id, a search. Callers of one owner share it."""
Part = tuple[Look[Any], Hashable, str | None]
"""What is looked at: the look, its key, and whose records alone it may show."""


@dataclass
class Hub:
    """What the streams of the same part share: the newest event, and the task that polls for it."""

    task: asyncio.Task[None]
    streams: int = 0
    newest: ServerSentEvent | None = None


@dataclass
class Live:
    """The streams of one process."""

    is_stopping: bool = False
    hubs: dict[Part, Hub] = field(default_factory=dict)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    @property
    def streams(self) -> int:
        """How many streams are open."""
        return sum(each.streams for each in self.hubs.values())

    def stop(self) -> None:
        """End every stream."""
        self.is_stopping = True
        self._waking = asyncio.create_task(self.wake())

    async def wake(self) -> None:
        """Make all streams look whether there is something for them."""
        async with self.changed:
            self.changed.notify_all()

    async def poll(self, read: Read, look: Look[Any], part: Part) -> None:
        """Look again and again, for all streams of a part, until the last one has ended."""
        while True:
            try:
                newest = ServerSentEvent(raw_data=await look(read, part[1]))
            except Rejected as error:  # what the page shows is not there
                newest = ServerSentEvent(event=NOT_LIVE, raw_data=str(error))
            except Exception as error:  # noqa: BLE001 - whatever it is, the page says that it is not live
                newest = ServerSentEvent(event=NOT_LIVE, raw_data=UNREADABLE)
                if self.hubs[part].newest != newest:
                    _log.warning("a live page cannot be refreshed: %r", error)
            self.hubs[part].newest = newest
            await self.wake()
            await asyncio.sleep(INTERVAL)

    @contextmanager
    def joined(self, read: Read, look: Look[K], key: K) -> Iterator[Hub]:
        """Join the streams of a part, and leave them in the end."""
        # Callers who see the same records share it, and nobody else.
        part: Part = (look, key, read.owner)
        hub = self.hubs.get(part)
        if hub is None:
            task = asyncio.create_task(self.poll(read, look, part))
            hub = self.hubs[part] = Hub(task)
        hub.streams += 1
        try:
            yield hub
        finally:
            hub.streams -= 1
            if not hub.streams:
                del self.hubs[part]
                hub.task.cancel()


class _InTurn(Read):
    """The request of a stream, of which few read the database at a time."""

    async def __call__(self, query: Callable[[Session], T], /) -> T:
        """Return what the query returns."""
        async with self.app.state.live.turns:
            # It lives as long as the stream: each look has a time of its own.
            self.__dict__.pop("deadline", None)
            return await super().__call__(query)


async def watch(read: Read, look: Look[K], key: K) -> AsyncIterator[ServerSentEvent]:
    """Yield a part of a page whenever it has changed, the first time at once.

    It ends with the service, and with the caller's session or token.
    """
    live: Live = read.app.state.live
    if live.streams >= MOST:
        why = f"{MOST} pages are live already. Reload this one to see what is new."
        yield ServerSentEvent(event=NOT_LIVE, raw_data=why, retry=LATER)
        return
    with live.joined(_InTurn(read.scope), look, key) as hub:
        sent: ServerSentEvent | None = None
        while True:
            if await session.has_ended(read):
                yield ServerSentEvent(event=NOT_LIVE, raw_data=SIGNED_OUT, retry=LATER)
                return
            if hub.newest is not None and hub.newest != sent:
                sent = hub.newest
                yield sent
            elif live.is_stopping:
                return
            else:
                async with live.changed:
                    await live.changed.wait()
