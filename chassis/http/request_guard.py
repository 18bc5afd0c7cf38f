"""What is turned away before a request is read: bodies that are too large, and bodies that are not JSON."""

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chassis.errors import BodyTooLarge, Rejected, UnsupportedMediaType, problem

LIMIT = 64 * 1024
"""The largest body the API takes, in bytes."""


class RequestGuard:
    """ASGI middleware around the API's own routes; deliveries have rules of their own (chassis/inbox.py)."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 413 or 415, or pass the request on with its body read."""
        if not _has_a_body_for_the_api(scope):
            await self.app(scope, receive, send)
            return
        try:
            body = await _read(receive)
            if body:
                _check_content_type(Headers(scope=scope))
        except ClientDisconnect:
            return  # nobody waits for an answer, and half a body is none
        except Rejected as error:
            await problem(error)(scope, receive, send)
        else:
            await self.app(scope, _replay(body, receive), send)


def _has_a_body_for_the_api(scope: Scope) -> bool:
    return (
        scope["type"] == "http"
        and scope["path"].startswith("/api/")
        and scope["method"] in {"POST", "PUT", "PATCH"}
    )


def _check_content_type(headers: Headers) -> None:
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise UnsupportedMediaType(
            f"The body came as {media_type or 'nothing in particular'}; send Content-Type: application/json."
        )


async def _read(receive: Receive) -> bytes:
    # Counted while it arrives: a Content-Length may be missing or wrong.
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > LIMIT:
            raise BodyTooLarge(
                f"The body is larger than {LIMIT // 1024} KiB; send less."
            )
    return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    messages: list[Message] = [
        {"type": "http.request", "body": body, "more_body": False}
    ]

    async def replayed() -> Message:
        return messages.pop() if messages else await receive()

    return replayed
