"""Who may call what is not for customers: the sidecar its own routes, and the other services the feed."""

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Annotated

from fastapi import Header, Request
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from chassis.errors import Rejected, problem


class NotTheSidecar(Rejected):
    """Only the sidecar of this service may call this."""

    status = 401


class SecretMissing(Rejected):
    """Only a service that knows the feeds' secret may call this."""

    status = 401


class SidecarGuard:
    """Lets nobody but the sidecar call what only it calls, where a token is set (Dapr: APP_API_TOKEN).

    Its health probes carry no token, so /healthz stays open.
    """

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self.app = app
        self.token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401, or pass the request on."""
        if self.token and _is_for_the_sidecar(scope) and not self._is_sent(scope):
            refusal = problem(NotTheSidecar("Its dapr-api-token is missing or wrong."))
            await refusal(scope, receive, send)
            return
        await self.app(scope, receive, send)

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
    """Give the secret in this file; where there is no such file, whoever comes first makes one."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_name(f"{file.name}.{os.getpid()}")
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(32))
        # A link is made whole or not at all, and not where another service has made one meanwhile.
        with suppress(FileExistsError):
            file.hardlink_to(draft)
        draft.unlink()
    return file.read_text().strip()
