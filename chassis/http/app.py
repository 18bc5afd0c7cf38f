"""An app with the manners of every API here: problem documents, its own description, a page that shows it.

Whoever may not call a route, and a body that is not JSON, is refused before the route sees it; HEAD is answered
as GET.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from operator import attrgetter
from time import perf_counter
from typing import Any, TypeVar

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.routing import APIRoute
from fastapi_offline import FastAPIOffline
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chassis import errors
from chassis.access import INTERNAL, OPEN, bearer
from chassis.dapr.tokens import check_secret
from chassis.http import openapi
from chassis.http.models import subject
from chassis.http.sites import Browsers
from chassis.http.units import Read, Unit
from chassis.http.unread import drop_if_unread
from chassis.runtime import metrics

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]
Handler = Callable[[Request], Coroutine[Any, Any, Response]]
F = TypeVar("F", bound=Callable[..., object])

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
        # It would lead to whatever the caller's Host says, and through Dapr to nowhere.
        redirect_slashes=False,
        # Swagger UI would send the description to its makers' validator.
        swagger_ui_parameters={"validatorUrl": None},
        # Otherwise each request looks for what nobody configures: traces are the sidecar's.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    for each in app.routes:  # its description, and the page that shows it
        vars(each)["needs"] = OPEN
    app.router.route_class = ApiRoute
    app.add_middleware(Measured)
    app.add_middleware(HeadAsGet)
    app.add_middleware(Browsers)
    errors.install(app)
    openapi.install(app)
    return app


class ApiRoute(APIRoute):
    """A route that takes its request as a Unit, its caller admitted (FastAPI: custom request and route)."""

    needs: str | None = None
    """The scope that it needs, OPEN or INTERNAL; its Router states it."""

    def get_route_handler(self) -> Handler:
        """Return FastAPI's handler, with our request; a delivery's as it is (chassis/inbox reads its body)."""
        answer = super().get_route_handler()
        if openapi.FROM_THE_SIDECAR in self.tags:
            return answer
        route = self.path

        async def handle(request: Request) -> Response:
            unit = Unit(request.scope, request.receive)
            await self.admit(unit)
            if unit.method == "GET":
                drop_if_unread(unit)
                return await answer(unit)
            return await unit.answered(answer, route)

        return handle

    async def admit(self, request: Read) -> None:
        """Refuse whoever may not call this, and remember who does.

        Raises what Access raises, and SecretMissing.
        """
        subject.set(None)
        if self.needs == OPEN:
            return
        parts = request.parts
        if self.needs == INTERNAL:
            check_secret(bearer(request.headers) or "", parts.secret)
        elif parts.access:
            request.caller = await parts.access.admit(request.headers, self.needs)


def needs(scope: str) -> Callable[[F], F]:
    """State the scope of one route, where it differs from its router's; below the decorator that makes it one."""

    def state(function: F) -> F:
        function.needs = scope  # type: ignore[attr-defined]
        return function

    return state


def scope_of(route: BaseRoute) -> str | None:
    """Return the scope that a route states, OPEN or INTERNAL; None where it states nothing."""
    if openapi.FROM_THE_SIDECAR in getattr(route, "tags", ()):
        return INTERNAL  # by SidecarGuard (chassis/dapr/tokens.py)
    return getattr(route, "needs", None)


class Router(APIRouter):
    """The routes of a service; each takes its request as `unit: Unit` or `read: Read`, or none.

    `scope` is what their callers need: an OAuth scope, OPEN for anybody, INTERNAL for the pair of services.
    """

    def __init__(
        self,
        tags: Sequence[str],
        route: type[ApiRoute] = ApiRoute,
        *,
        scope: str | None = None,
        in_schema: bool = True,
    ) -> None:
        self.scope = scope
        super().__init__(
            tags=[*tags],
            route_class=route,
            include_in_schema=in_schema,
            generate_unique_id_function=attrgetter("name"),
        )

    def add_api_route(self, *given: Any, **options: Any) -> None:  # noqa: ANN401 - as FastAPI has it
        """Add a route, with the scope that it needs."""
        super().add_api_route(*given, **options)
        route = vars(self.routes[-1])
        route["needs"] = getattr(route["endpoint"], "needs", self.scope)


class HeadAsGet:
    """ASGI middleware that answers HEAD as GET (RFC 9110, 9.3.2); the server itself leaves out the body."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a HEAD on as a GET, whose caller leaves when it has the headers."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return
        head = _Head(receive, send)
        await self.app({**scope, "method": "GET"}, head.receive, head.send)
        if not head.is_complete:
            await send({"type": "http.response.body"})


class _Head:
    """What is sent and received for a HEAD: where a stream went on, a proxy's next request would wait for it."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self._has_begun = asyncio.Event()
        self.is_complete = False

    async def receive(self) -> Message:
        """Return the request, then that its caller has left, once the answer has begun."""
        if not self._has_begun.is_set():
            message = await self._receive()
            if message["type"] != "http.request" or message.get("body"):
                return message
        await self._has_begun.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Send a part of the answer."""
        self._has_begun.set()
        is_body = message["type"] == "http.response.body"
        self.is_complete = is_body and not message.get("more_body", False)
        await self._send(message)


class Measured:
    """ASGI middleware that observes how long each request takes."""

    METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and observe it under its route once it is answered."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = perf_counter(), 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noted)
        finally:
            route = getattr(scope.get("route"), "path", "")
            method = scope["method"] if scope["method"] in self.METHODS else "_OTHER"
            requests = metrics.of(metrics.REQUESTS, method, route, status)
            requests.observe(perf_counter() - began)
