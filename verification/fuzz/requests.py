"""Hostile requests for pages and the API, drawn by chance from the routes that an app has."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any
from urllib.parse import quote, urlencode
from uuid import uuid4

from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts

from verification.fuzz.events import TEXTS, value

FIELDS = (
    *("limit", "cursor", "state", "order", "q", "name", "by", "reason", "act", "event"),
    *(
        "customerName",
        "customerEmail",
        "idempotencyKey",
        "every",
        "listed",
        "body",
        "after",
        "id",
    ),
)
HEADERS = (
    *(
        "idempotency-key",
        "traceparent",
        "content-type",
        "authorization",
        "cookie",
        "origin",
    ),
    *(
        "sec-fetch-site",
        "content-encoding",
        "x-forwarded-host",
        "accept",
        "last-event-id",
        "range",
    ),
)
TYPES = (
    *("application/json", "application/x-www-form-urlencoded", "text/plain"),
    *("multipart/form-data; boundary=x", "application/json; charset=utf-16", ";", ""),
)
_PARAMETER = re.compile(r"\{[^}]+\}")


@dataclass(frozen=True)
class Asked:
    """A request."""

    method: str
    path: str
    headers: list[tuple[bytes, bytes]]
    body: bytes


def routes(app: FastAPI) -> list[tuple[str, str]]:
    """Return what may be asked of an app, but for streams, which do not end."""
    return sorted(set(_routes(app)))


def _routes(app: FastAPI) -> Iterator[tuple[str, str]]:
    for each in iter_route_contexts(app.routes):
        route = each.original_route
        if isinstance(route, APIRoute) and "live" not in route.path:
            yield from ((method, route.path) for method in route.methods or ())


def draw(chance: Random, asked: list[tuple[str, str]]) -> Asked:
    """Return a request for one of these routes."""
    method, path = chance.choice(asked)
    if chance.random() < 0.05:
        method = chance.choice(("PUT", "DELETE", "HEAD", "OPTIONS", "BREW"))
    filled = _PARAMETER.sub(lambda _: _segment(chance), path)
    query = f"?{_form(chance)}" if chance.random() < 0.5 else ""
    headers = [
        (chance.choice(HEADERS).encode(), _header(chance))
        for _ in range(chance.randrange(3))
    ]
    body = b""
    if method == "POST":
        headers.append((b"content-type", chance.choice(TYPES).encode()))
        body = _body(chance)
    return Asked(method, filled + query, headers, body)


def _segment(chance: Random) -> str:
    # Never the number of a dead letter that is there: an operator may decide about one that nobody signed.
    plain = chance.choice((str(uuid4()), "0", "-1", str(2**63), str(10**30), "nan"))
    return quote(
        chance.choice((plain, chance.choice(TEXTS))), safe="", errors="surrogatepass"
    )


def _form(chance: Random) -> str:
    fields = [
        (chance.choice(FIELDS), _text(chance)) for _ in range(chance.randrange(6))
    ]
    return urlencode(fields, errors="surrogatepass")


def _text(chance: Random) -> str:
    given = value(chance, 1)
    return given if isinstance(given, str) else repr(given)


def _header(chance: Random) -> bytes:
    text = _text(chance).encode(errors="replace")
    return bytes(each for each in text if each >= 32 or each == 9)


def _body(chance: Random) -> bytes:
    kind = chance.randrange(4)
    if kind == 0:
        return _form(chance).encode()
    if kind == 1:
        return chance.randbytes(chance.randrange(200))
    made: dict[str, Any] = {
        chance.choice(FIELDS): value(chance) for _ in range(chance.randrange(4))
    }
    if kind == 2:
        made |= {"by": _text(chance), "reason": _text(chance)}
    return str(made).replace("'", '"').encode(errors="replace")
