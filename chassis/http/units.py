"""What a route depends on: a unit of work to change something, a reader to find something, room for more."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Protocol, TypeVar

from fastapi import Depends, Header, Request, Response
from fastapi.responses import JSONResponse
from sqlalchemy.orm import Session

from chassis.errors import Rejected
from chassis.http.idempotency import (
    IdempotencyKeyReused,
    KeyedRequest,
    MalformedIdempotencyKey,
    RequestInFlight,
    carry_out_once,
    identify,
)
from chassis.http.models import View
from chassis.http.openapi import refuses
from chassis.outbox import BacklogFull
from chassis.parts import Parts, parts_of
from chassis.runtime.telemetry import traceparent_or_new

T = TypeVar("T")

MOST_WAITING = 200
"""Commands that wait for their transaction; more are refused at once: nobody waits for seconds to hear no."""


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


Command = Callable[[Session], View | Created]


@dataclass(frozen=True)
class UnitOfWork:
    """One transaction of a command, answered after it is committed; `trace` is the request's W3C trace context."""

    parts: Parts
    request: KeyedRequest | None
    status: int
    trace: str

    async def run(self, command: Command, *, alone: bool = False) -> Response:
        """Carry out a command and return its answer; with an Idempotency-Key, at most once.

        The command is a plain function of the session: it may be run again before COMMIT. Commands that wait at
        the same time share a transaction; `alone` is for those that lock rows. Raises Overloaded.
        """
        lane = "" if alone else "commands"
        if not alone and self.parts.database.waiting(lane) >= MOST_WAITING:
            raise Overloaded

        def work(session: Session) -> Response:
            return self._answer(command(session))

        if self.request is None:
            return await self.parts.database.write(work, lane)
        return await carry_out_once(self.parts, self.request, work, lane)

    def _answer(self, result: View | Created) -> Response:
        view = result.view if isinstance(result, Created) else result
        headers = {"Location": result.location} if isinstance(result, Created) else None
        body = view.model_dump_json(by_alias=True)
        return Response(body, self.status, headers, JSONResponse.media_type)


@refuses(MalformedIdempotencyKey, IdempotencyKeyReused, RequestInFlight, Overloaded)
async def _unit(
    request: Request,
    _key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            description="Sent again with the same key within 24 hours, a request is carried out once and "
            "answered the same again. All callers share the keys of a path: use a UUID",
            examples=["01a20727-ad7d-7a6d-8ffc-e0698ef24ad8"],
        ),
    ] = None,
) -> UnitOfWork:
    status = request.scope["route"].status_code or 200
    trace = traceparent_or_new(request.headers.get("traceparent"))
    return UnitOfWork(parts_of(request), await identify(request), status, trace)


Unit = Annotated[UnitOfWork, Depends(_unit)]
"""What a route that changes something runs its command in."""


class Reader(Protocol):
    """Runs a query in a transaction of its own."""

    async def __call__(self, query: Callable[[Session], T], /) -> T:
        """Return what the query returns."""


async def _read(request: Request) -> Reader:
    return parts_of(request).database.read


Read = Annotated[Reader, Depends(_read)]
"""What a route that changes nothing runs its query with."""


@refuses(BacklogFull)
async def _has_room(request: Request) -> None:
    await parts_of(request).backlog.check()


has_room = Depends(_has_room)
"""A route that publishes events names this in its `dependencies`."""
