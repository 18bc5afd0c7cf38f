"""What is decided before a route sees a request: bodies that are not JSON are refused, and HEAD is a GET."""

import json
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chassis.errors import (
    BodyTooLarge,
    MalformedJson,
    Rejected,
    UnsupportedMediaType,
    problem,
)

MAX_BODY_BYTES = 64 * 1024


class RequestGuard:
    """ASGI middleware that checks the API's bodies; deliveries have rules of their own (chassis/inbox)."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 400, 413 or 415, or pass the request on with its body read."""
        if not _may_have_a_body(scope):
            await self.app(scope, receive, send)
            return
        try:
            body = await _read(receive)
            if body:
                _check(Headers(scope=scope), body)
        except ClientDisconnect:
            return  # nobody waits for an answer, and half a body is none
        except Rejected as error:
            await problem(error)(scope, receive, send)
        else:
            await self.app(scope, _replay(body, receive), send)


def _may_have_a_body(scope: Scope) -> bool:
    return (
        scope["type"] == "http"
        and scope["path"].startswith("/api/")
        and scope["method"] not in {"GET", "HEAD", "OPTIONS"}
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
        if len(body) > MAX_BODY_BYTES:
            raise BodyTooLarge(
                f"The body is larger than {MAX_BODY_BYTES // 1024} KiB; send less."
            )
    return bytes(body)


def _check(headers: Headers, body: bytes) -> None:
    coding = headers.get("content-encoding", "identity").strip().lower()
    if coding != "identity":
        raise UnsupportedMediaType(
            f"The body is compressed ({coding}); send it without Content-Encoding."
        )
    media_type, _, parameters = headers.get("content-type", "").partition(";")
    if media_type.strip().lower() != "application/json":
        raise UnsupportedMediaType(
            f"The body came as {media_type.strip() or 'nothing in particular'}; "
            "send Content-Type: application/json."
        )
    _check_charset(parameters)
    _check_json(body)


def _check_charset(parameters: str) -> None:
    for each in parameters.split(";"):
        name, _, value = each.strip().lower().partition("=")
        if name == "charset" and value.strip('"') not in {"utf-8", "us-ascii"}:
            raise UnsupportedMediaType(f"The body came in {value}; send it in UTF-8.")


def _check_json(body: bytes) -> None:
    # Decoded here: json.loads itself would take bytes in UTF-16 or UTF-32.
    try:
        json.loads(
            body.decode(), object_pairs_hook=_check_names, parse_constant=_refuse
        )
    except UnicodeDecodeError as error:
        raise MalformedJson(
            "The body is not valid JSON: it is not in UTF-8."
        ) from error
    except RecursionError as error:
        raise MalformedJson("The body is not valid JSON: it is too deep.") from error
    except ValueError as error:
        raise MalformedJson(f"The body is not valid JSON: {error}.") from error


def _check_names(members: list[tuple[str, Any]]) -> None:
    names = set()
    for name, _ in members:
        if name in names:
            raise ValueError(f"the name {json.dumps(name)} occurs twice in one object")
        names.add(name)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a JSON value")


def _replay(body: bytes, receive: Receive) -> Receive:
    messages: list[Message] = [
        {"type": "http.request", "body": body, "more_body": False}
    ]

    async def replayed() -> Message:
        return messages.pop() if messages else await receive()

    return replayed


class HeadAsGet:
    """ASGI middleware that answers HEAD with the headers of GET (RFC 9110, 9.3.2)."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a HEAD on as a GET, and drop the body of its answer."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return

        async def send_without_body(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        await self.app({**scope, "method": "GET"}, receive, send_without_body)
