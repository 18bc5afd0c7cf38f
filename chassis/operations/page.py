"""The page `/operations`: what is wrong comes first, the calm figures below; the same look in every service."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

from fastapi import Response
from fastapi.sse import EventSourceResponse, ServerSentEvent

from chassis.http import OPERATE, Read
from chassis.operations.api import Observer
from chassis.operations.words import duration, precise, since
from chassis.pages import PageRouter, fragment, page, watch


def _unbroken(words: Callable[..., str]) -> Callable[..., str]:
    """Return a function whose text keeps a number and its unit on one line."""
    return lambda *given: words(*given).replace(" ", "\u00a0")


def pages(observe: Observer) -> PageRouter:
    """Return the page of a service that is looked at so, and its live part."""
    made = PageRouter(Path(__file__).parent / "templates", scope=OPERATE)

    async def show(read: Read, _all: None = None) -> str:
        words = {each.__name__: _unbroken(each) for each in (duration, precise, since)}
        return fragment(read, "operations-live.html", seen=await observe(), **words)

    @made.get("/operations")
    async def get_operations_page(read: Read) -> Response:
        """Show how the service is."""
        return page(read, "operations.html", operations=await show(read))

    # As deep as the page: its links lead from there (chassis/pages/page.py).
    @made.get("/operations-live", response_class=EventSourceResponse)
    async def get_live_operations(read: Read) -> AsyncIterator[ServerSentEvent]:
        """Stream how the service is."""
        async for each in watch(read, show, None):
            yield each

    return made
