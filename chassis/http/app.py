"""An app with the manners of every API here: problem documents, its own description, a page that shows it.

A body that is not JSON is refused before a route sees it, and HEAD is answered as GET.
"""

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from email.message import Message as Mime
from operator import attrgetter
from typing import Any

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chassis import errors
from chassis.errors import (
    BodyTooLarge,
    MalformedJson,
    Rejected,
    UnsupportedMediaType,
    problem,
)
from chassis.http import openapi

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]

MAX_BODY_BYTES = 64 * 1024

DESCRIPTION = (
    "Through Dapr, each path has `/v1.0/invoke/{name}/method` before it. Whatever is wrong with a request is "
    "answered with a problem document (RFC 9457) that names it."
)


def create_api(name: str, lifespan: Lifespan | None = None) -> FastAPI:
    """Return an app without routes of its own; /docs shows its API, and needs no network."""
    app = FastAPIOffline(
        title=f"{name.capitalize()} service",
        description=DESCRIPTION.format(name=name),
        generate_unique_id_function=attrgetter("name"),
        lifespan=lifespan,
        redoc_url=None,
        # Swagger UI would send the description to its makers' validator.
        swagger_ui_parameters={"validatorUrl": None},
    )
    app.add_middleware(RequestGuard)
    app.add_middleware(HeadAsGet)
    errors.install(app)
    openapi.install(app)
    return app


class RequestGuard:
    """ASGI middleware that checks the API's bodies; deliveries have rules of their own (chassis/inbox)."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 400, 413 or 415, or pass the request on with its body read."""
        if not _may_have_a_body(scope):
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            body = await _read(request)
            if body:
                _check_type(request.headers)
                _check_json(body)
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


async def _read(request: Request) -> bytes:
    # Counted while it arrives: a Content-Length may be missing or wrong.
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise BodyTooLarge(
                f"The body is larger than {MAX_BODY_BYTES // 1024} KiB; send less."
            )
    return bytes(body)


def _check_type(headers: Headers) -> None:
    coding = headers.get("content-encoding", "identity").strip().lower()
    if coding != "identity":
        raise UnsupportedMediaType(
            f"The body is compressed ({coding}); send it without Content-Encoding."
        )
    if headers.get("content-type") == "application/json":
        return  # as nearly all send it; to parse it takes longer than the JSON
    sent = Mime()
    sent["content-type"] = headers.get("content-type", "")
    media_type, charset = sent.get_content_type(), sent.get_content_charset("utf-8")
    if media_type != "application/json":
        raise UnsupportedMediaType(
            f"The body came as {media_type}; send Content-Type: application/json."
        )
    if charset not in {"utf-8", "us-ascii"}:
        raise UnsupportedMediaType(f"The body came in {charset}; send it in UTF-8.")


def _check_json(body: bytes) -> None:
    # Decoded here: json.loads itself would take bytes in UTF-16 or UTF-32.
    try:
        json.loads(body.decode(), object_pairs_hook=_check_names, parse_constant=_deny)
    except (ValueError, RecursionError) as error:
        raise MalformedJson(f"The body is not valid JSON: {error}.") from error


def _check_names(members: list[tuple[str, Any]]) -> None:
    if len(dict(members)) < len(members):
        raise ValueError("a name occurs twice in one object")


def _deny(constant: str) -> None:
    raise ValueError(f"{constant} is not a JSON value")


def _replay(body: bytes, receive: Receive) -> Receive:
    messages: list[Message] = [{"type": "http.request", "body": body}]

    async def replayed() -> Message:
        return messages.pop() if messages else await receive()

    return replayed


class HeadAsGet:
    """ASGI middleware that answers HEAD as GET (RFC 9110, 9.3.2); the server itself leaves out the body."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a HEAD on as a GET."""
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}
        await self.app(scope, receive, send)
