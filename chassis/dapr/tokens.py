"""Who may call what is not for customers: the sidecar its own routes, and the other services the feed."""

import re
import secrets
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Annotated, NoReturn

from fastapi import Header, Request
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from chassis.errors import Rejected, problem
from chassis.runtime.settings import EX_CONFIG

CALLER = "dapr-caller-app-id"
"""Who asks through Dapr: the caller's sidecar writes it on what it passes on, whatever the caller wrote."""

_A_SECRET = re.compile(r"[!-~]+")
"""What can be sent in a header as it is: ASCII, without spaces."""


class NotTheSidecar(Rejected):
    """Only the sidecar of this service may call this."""

    status = 401


class SecretMissing(Rejected):
    """Only a service that knows the feeds' secret may call this."""

    status = 401


class SidecarGuard:
    """Lets nobody but the sidecar call what only it calls, where a token is set (Dapr: APP_API_TOKEN).

    Its health probes carry no token, so /healthz stays open. What another app asks through Dapr the sidecar
    passes on with the token: it is known by its caller's name, and refused with or without one.
    """

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self.app = app
        self.token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401, or pass the request on."""
        why = self._refusal(scope) if _is_for_the_sidecar(scope) else ""
        if why:
            await problem(NotTheSidecar(why))(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _refusal(self, scope: Scope) -> str:
        if CALLER in Headers(scope=scope):
            return "Another app asks for it through Dapr."
        if self.token and not self._is_sent(scope):
            return "Its dapr-api-token is missing or wrong."
        return ""

    def _is_sent(self, scope: Scope) -> bool:
        return _is_same(
            Headers(scope=scope).get("dapr-api-token", ""), self.token or ""
        )


def _is_for_the_sidecar(scope: Scope) -> bool:
    path: str = scope.get("path", "")
    return scope["type"] == "http" and path.startswith(("/dapr/", "/events/"))


def knows_the_secret(
    request: Request, authorization: Annotated[str, Header()] = ""
) -> None:
    """Refuse a caller without `Authorization: Bearer <the feeds' secret>`; raises SecretMissing."""
    if not _is_same(authorization, f"Bearer {request.app.state.secret}"):
        raise SecretMissing("Its Authorization is missing or wrong.")


def _is_same(given: str, expected: str) -> bool:
    # In the same time whatever is given: how long a comparison takes tells how much of it was right.
    return bool(secrets.compare_digest(given.encode(), expected.encode()))


def shared_secret(file: Path) -> str:
    """Give the secret in this file; where there is no such file, whoever comes first makes one.

    Ends the process with a sentence where the file cannot be used.
    """
    try:
        if not file.exists():
            _make(file)
        secret = file.read_text().strip()
    except (OSError, ValueError) as error:
        _give_up(file, f"{type(error).__name__}, {getattr(error, 'strerror', '')}")
    if not _A_SECRET.fullmatch(secret):
        _give_up(file, "there is no secret in it; remove it, and a new one is made")
    return secret


def _make(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    # Its mode is 0600 from the beginning.
    with NamedTemporaryFile("w", dir=file.parent, prefix=f"{file.name}.") as draft:
        draft.write(secrets.token_urlsafe(32))
        draft.flush()
        # A link is made whole or not at all, and not where another service has made one meanwhile.
        with suppress(FileExistsError):
            file.hardlink_to(draft.name)


def _give_up(file: Path, why: str) -> NoReturn:
    sys.stderr.write(f"The setting FEED_SECRET_FILE is wrong: {why} (it is {file}).\n")
    sys.exit(EX_CONFIG)
