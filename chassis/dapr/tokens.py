"""Who may call what is not for customers: the sidecar its own routes, and other services the feed."""

import re
import secrets
from pathlib import Path

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from chassis.errors import Rejected, problem
from chassis.runtime.secret_file import read_or_create

CALLER = "dapr-caller-app-id"
"""Which app asks through Dapr, as its sidecar says; a caller's own header stays beside it up to daprd 1.18."""

_GUARDED = ("/dapr/", "/events/")
_OF_PAGES = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data")
"""What a page may send to another site without asking it first (Fetch: CORS-safelisted)."""
_A_SECRET = re.compile(r"[!-~]+")
"""What a header carries as it is: ASCII, without spaces."""


class NotTheSidecar(Rejected):
    """Only the sidecar of this service may call this."""

    status = 401


class SecretMissing(Rejected):
    """Only a service that knows the feeds' secret may call this."""

    status = 401


class SidecarGuard:
    """ASGI middleware: only the sidecar calls what is for it, where a token is set (Dapr: APP_API_TOKEN).

    Its health probes carry no token, so /healthz stays open. What another app asks through Dapr arrives with
    the token: it is recognised by its caller's name, and refused with or without one.
    """

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self.app = app
        self.token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401, or pass the request on."""
        answer = self.app
        if scope["type"] == "http" and scope["path"].startswith(_GUARDED):
            reason = self._refusal(Headers(scope=scope))
            answer = problem(NotTheSidecar(reason)) if reason else answer
        await answer(scope, receive, send)

    def _refusal(self, headers: Headers) -> str:
        if CALLER in headers:
            return "Another app calls it through Dapr."
        if "origin" in headers or "sec-fetch-site" in headers:
            return "A browser sent it."
        if headers.get("content-type", "").lower().startswith(_OF_PAGES):
            return "Its content type is one of a web page's form."
        if self.token and not is_same(headers.get("dapr-api-token", ""), self.token):
            return "Its dapr-api-token is missing or wrong."
        return ""


def check_secret(given: str, secret: str) -> None:
    """Refuse a bearer token other than the feeds' secret; raises SecretMissing."""
    if not is_same(given, secret):
        raise SecretMissing("Its Authorization is missing or wrong.")


def is_same(given: str, expected: str) -> bool:
    """Return whether two secrets are equal, in the same time whatever is given."""
    return bool(secrets.compare_digest(given.encode(), expected.encode()))


def load_feed_secret(file: Path) -> str:
    """Return the secret of the feeds in this file; the first service that needs it creates it.

    Ends the process with exit status 78 and a sentence where the file cannot be used.
    """
    return read_or_create(file, lambda: secrets.token_urlsafe(32), _parse)


def _parse(text: str) -> str:
    if not _A_SECRET.fullmatch(text):
        raise ValueError("there is no secret in it")
    return text
