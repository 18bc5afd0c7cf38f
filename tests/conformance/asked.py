"""What the probe answers when another app invokes it: the request itself, or what the request asks for."""

from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import repeat
from uuid import uuid4

from fastapi import FastAPI, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

SECRET = "Bearer hush-hush"


def add_routes(app: FastAPI) -> None:
    """Add what other apps may invoke."""
    routes: dict[str, Callable[..., Awaitable[Response]]] = {
        "/asked/echo": _echo,
        "/asked/status/{status}": _problem,
        "/asked/text/{status}": _text,
        "/asked/events/{count}": _events,
        "/asked/slow": _slow,
        "/asked/cut": _cut,
        "/asked/held": _held,
    }
    for path, answer in routes.items():
        app.add_api_route(path, answer, response_model=None)


async def _echo(request: Request) -> Response:
    """Return the query and the headers that arrived."""
    query, headers = dict(request.query_params), dict(request.headers)
    return JSONResponse({"query": query, "headers": headers})


async def _problem(status: int) -> Response:
    """Return a problem document with this status, as chassis/errors.py does."""
    problem = {"type": "about:blank", "title": "Zo\u00eb", "status": status}
    return JSONResponse(problem, status, media_type="application/problem+json")


async def _text(status: int, text: str = "") -> Response:
    """Return this status and text."""
    return Response(text, status, media_type="application/json")


async def _events(count: int) -> Response:
    """Return so many events of a kilobyte."""
    events = [{"id": str(uuid4()), "data": "a" * 950} for _ in range(count)]
    return JSONResponse({"items": events})


async def _slow(request: Request) -> Response:
    """Answer when nobody waits any more."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    return JSONResponse({})


async def _cut() -> Response:
    """Break off in the middle of an answer, as an app does that is killed."""

    async def events() -> AsyncIterator[bytes]:
        yield b'{"items": ['
        for each in repeat(b'{"id": 1},', 1000):
            yield each
        raise ConnectionAbortedError

    return StreamingResponse(events(), media_type="application/json")


async def _held(request: Request) -> Response:
    """Begin an answer, and do not end it while anybody waits."""

    async def events() -> AsyncIterator[bytes]:
        yield b'{"items": ['
        while (await request.receive())["type"] != "http.disconnect":
            pass

    return StreamingResponse(events(), media_type="application/json")
