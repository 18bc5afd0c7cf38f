"""A transport to an app that runs in this process."""

import asyncio

import httpx
from starlette.types import ASGIApp, Message, Receive, Scope


class InProcess(httpx.AsyncBaseTransport):
    """Carries requests to an ASGI app; what the app raises is raised, or `quiet` is the answer so far, or 500.

    It does as httpx.ASGITransport, but that one looks for a package that is not there at every request,
    which takes longer than the request.
    """

    def __init__(self, app: ASGIApp, *, quiet: bool = False) -> None:
        self._app = app
        self._quiet = quiet

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Carry a request, and return the whole answer."""
        sent: list[Message] = []
        is_answered = asyncio.Event()
        receive = _receiving(await request.aread(), is_answered)

        async def send(message: Message) -> None:
            sent.append(message)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                is_answered.set()

        try:
            await self._app(_scope(request), receive, send)
        except Exception:
            if not self._quiet:
                raise
        return _response(sent)


def _receiving(body: bytes, is_answered: asyncio.Event) -> Receive:
    pending: list[Message] = [{"type": "http.request", "body": body}]

    async def receive() -> Message:
        if pending:
            return pending.pop()
        await is_answered.wait()
        return {"type": "http.disconnect"}

    return receive


def _scope(request: httpx.Request) -> Scope:
    url = request.url
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": url.scheme,
        "path": url.path,
        "raw_path": url.raw_path.partition(b"?")[0],
        "query_string": url.query,
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "server": (url.host, url.port),
        "client": ("127.0.0.1", 1),
        "root_path": "",
    }


def _response(sent: list[Message]) -> httpx.Response:
    if not sent:
        return httpx.Response(500)
    content = b"".join(each.get("body", b"") for each in sent[1:])
    return httpx.Response(
        sent[0]["status"], headers=sent[0].get("headers", []), content=content
    )
