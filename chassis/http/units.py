"""What a route takes as its request: `read` to find something, `unit` to change something."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import ClassVar, TypeVar

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from opentelemetry.trace import SpanKind
from sqlalchemy.orm import Session

from chassis.access import Caller
from chassis.errors import (
    BodyTooLarge,
    MalformedJson,
    OutcomeUnknown,
    Rejected,
    UnsupportedMediaType,
)
from chassis.http.body import JsonRequest
from chassis.http.idempotency import (
    HEADER,
    PARAMETER,
    IdempotencyKeyReused,
    MalformedIdempotencyKey,
    RequestInFlight,
    carry_out_once,
    identify,
)
from chassis.http.models import View, subject
from chassis.http.openapi import refuses
from chassis.http.sites import CrossSiteRequest, check_site
from chassis.outbox import BacklogFull
from chassis.parts import Parts
from chassis.runtime import otlp, telemetry
from chassis.runtime.telemetry import Span

T = TypeVar("T")

CALLER = "caller"
"""Where the scope of a request has its caller."""
MOST_READING = 40
"""Queries of requests that wait for one of the readers or run; more are refused at once."""
MOST_WAITING = 200
"""Commands that wait for their transaction; more are refused at once: nobody waits for seconds to hear no."""

ANSWERS_WITHIN = 6.0
"""Seconds that the database has for a request, a little longer than an attempt to connect to it may take."""


class Overloaded(Rejected):
    """Too many requests wait to be carried out; nothing was changed, try again in a second."""

    status = 503
    retry_after = 1


@dataclass(frozen=True)
class Created:
    """What a command created, and where it is: an address relative to the request's own."""

    view: View
    # Relative, so that it can be followed through Dapr too, where another path comes before it.
    location: str


Answering = Callable[[Request], Awaitable[Response]]
Command = Callable[[Session], View | Created]


OF_A_BODY = (MalformedJson, BodyTooLarge, UnsupportedMediaType, CrossSiteRequest)
"""What a route that is sent a body may answer, before it sees it."""


@refuses(Overloaded)
class Read(JsonRequest):
    """The request of a route that changes nothing: it runs queries."""

    async def __call__(self, query: Callable[[Session], T], /) -> T:
        """Return what the query returns, in a transaction of its own; raises Overloaded."""
        database = self.parts.database
        if database.reading >= MOST_READING:
            raise Overloaded
        return await database.read(query, self.deadline)

    @cached_property
    def deadline(self) -> float:
        """Return until when the database has time, whatever it is asked for, from the first such question on."""
        return asyncio.get_running_loop().time() + ANSWERS_WITHIN

    @property
    def caller(self) -> Caller | None:
        """Who calls, as a token or a session proves; None where there is no access control."""
        caller: Caller | None = self.scope.get(CALLER)
        return caller

    @caller.setter
    def caller(self, caller: Caller) -> None:
        """Remember who calls; what they decide is theirs (chassis/http/models.py)."""
        self.scope[CALLER] = caller
        subject.set(caller.subject)

    @property
    def subject(self) -> str | None:
        """The subject of who calls; None where there is no access control."""
        return self.caller.subject if self.caller else None

    @property
    def owner(self) -> str | None:
        """The subject whose records alone are for this caller; None for all of them."""
        return self.caller.owner if self.caller else None

    @property
    def parts(self) -> Parts:
        """Return the parts of the service that this request reached."""
        parts: Parts = self.app.state.parts
        return parts


@refuses(
    MalformedIdempotencyKey,
    IdempotencyKeyReused,
    RequestInFlight,
    Overloaded,
    OutcomeUnknown,
    BacklogFull,
    *OF_A_BODY,
)
class Unit(Read):
    """The request of a route that changes something: one transaction, answered after it is committed."""

    # Read by openapi.py: every route that takes a Unit documents it.
    header: ClassVar = PARAMETER
    _span: Span | None = None
    _is_traced = False

    @property
    def sent_keys(self) -> list[str]:
        """The Idempotency-Key that it was sent with, or nothing."""
        return self.headers.getlist(HEADER)

    @cached_property
    def trace(self) -> str:
        """Return the request's W3C trace context: that of its span, where it is traced."""
        if self._span:
            return self._span.context
        trace = telemetry.traceparent_or_new(self.headers.get("traceparent"))
        return telemetry.unsampled(trace) if self._is_traced else trace

    async def answered(self, answer: Answering, route: str) -> Response:
        """Return the answer to this request, made within its span, once its body is checked."""
        self._span = self._begin(route)
        token, status = telemetry.current.set(self.trace), 500
        try:
            check_site(self.headers, self.parts.settings.public_url)
            # Not left to FastAPI: it would make one and the same 400 of whatever is wrong.
            await self.json()
            response = await answer(self)
            status = response.status_code
        except Rejected as error:
            status = error.status
            raise
        finally:
            telemetry.current.reset(token)
            self._end(status)
        return response

    def _begin(self, route: str) -> Span | None:
        parts: Parts | None = getattr(self.app.state, "parts", None)
        if parts is None or parts.tracer is None:
            return None
        self._is_traced = True
        operation = _operation(self.method, route, self.scope["scheme"])
        span = parts.tracer.enter(operation, self.headers.get("traceparent"))
        if span:
            span.attributes["url.path"] = self.scope["path"]
        return span

    def _end(self, status: int) -> None:
        if self._span:
            self._span.attributes["http.response.status_code"] = status
            self._span.end(str(status) if status >= 500 else "")

    async def run(self, command: Command, *, alone: bool = False) -> Response:
        """Carry out a command and return its answer; with an Idempotency-Key, at most once.

        The command is a plain function of the session: it may be run again before COMMIT. Commands that wait at
        the same time share a transaction; `alone` is for those that lock rows. The others are refused where too
        many of them, or too many events, wait. Raises what the class declares.
        """
        parts, lane = self.parts, "" if alone else "commands"
        if not alone:
            await parts.backlog.check(self.deadline)
            if parts.database.waiting(lane) >= MOST_WAITING:
                raise Overloaded

        def work(session: Session) -> Response:
            return self._answer(command(session))

        keyed = await identify(self, self.sent_keys, self.subject)
        if keyed is None:
            return await parts.database.write(work, lane, self.deadline)
        return await carry_out_once(parts, keyed, work, lane, self.deadline)

    def _answer(self, result: View | Created) -> Response:
        view = result.view if isinstance(result, Created) else result
        headers = {"Location": result.location} if isinstance(result, Created) else None
        body = view.model_dump_json(by_alias=True)
        status = self.scope["route"].status_code or 200
        return Response(body, status, headers, JSONResponse.media_type)


@lru_cache(256)
def _operation(method: str, route: str, scheme: str) -> bytes:
    attributes = {
        "http.request.method": method,
        "http.route": route,
        "url.scheme": scheme,
    }
    return otlp.operation(f"{method} {route}", SpanKind.SERVER, attributes)
