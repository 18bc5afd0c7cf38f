"""Every error the API answers with: a problem document (RFC 9457) with a stable type, for every status."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, ClassVar

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match

from chassis.database import is_unavailable
from chassis.database.transient import CommitFailed, NoAnswer

PROBLEM = "application/problem+json"
OF_THE_DATABASE = (SQLAlchemyError, CommitFailed, NoAnswer)
"""Among these is whatever a database raises."""
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",
}
"""What every answer says to browsers and caches that says nothing else itself."""


class Rejected(Exception):
    """The request cannot be carried out."""

    status: ClassVar[int] = 400
    retry_after: ClassVar[int | None] = None
    """Seconds after which another attempt may succeed, where one may."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of its answer, besides Retry-After; every 401 has a challenge (RFC 9110, 11.6.1)."""
        return {"WWW-Authenticate": "Bearer"} if self.status == 401 else {}

    def __init__(self, detail: str = "", **members: object) -> None:
        super().__init__(detail or self.title())
        self.members = members

    @classmethod
    def title(cls) -> str:
        """Return what is wrong in general: the first line of the class's docstring."""
        return (cls.__doc__ or "").split("\n")[0]

    @classmethod
    def type(cls) -> str:
        """Return the problem's type for programs: ThingNotFound is urn:problem-type:thing-not-found."""
        return (
            f"urn:problem-type:{re.sub(r'(?<!^)(?=[A-Z])', '-', cls.__name__).lower()}"
        )


class MalformedRequest(Rejected):
    """The request's address or headers are malformed, or too long."""


class MalformedJson(Rejected):
    """The body is not valid JSON."""


class BodyTooLarge(Rejected):
    """The body is too large."""

    status = 413


class UnsupportedMediaType(Rejected):
    """The body must be sent as application/json, in UTF-8 and without compression."""

    status = 415


class InvalidRequest(Rejected):
    """The request has fields that are not valid."""

    status = 422


class InternalError(Rejected):
    """The service failed unexpectedly."""

    status = 500


class NotReady(Rejected):
    """The service is not ready."""

    status = 503


class DatabaseUnavailable(Rejected):
    """The service's database does not answer; nothing was changed, try again."""

    status = 503
    retry_after = 1


class OutcomeUnknown(Rejected):
    """The database has not said whether this was carried out; send it again with the same Idempotency-Key.

    Then it is carried out once, whatever has become of it. Without a key, look first.
    """

    status = 503
    retry_after = 1


def problem(error: Rejected) -> JSONResponse:
    """Return an error's answer."""
    wait = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    document: dict[str, Any] = {
        "type": error.type(),
        "title": error.title(),
        "status": error.status,
        "detail": str(error),
        **error.members,
    }
    # Some are sent past the layer that adds these to every answer (chassis/http/sites.py).
    headers = {**HEADERS, **wait, **error.headers}
    return JSONResponse(document, error.status, headers, media_type=PROBLEM)


def install(app: FastAPI) -> None:
    """Make the app answer every error with its problem document."""
    app.exception_handler(Rejected)(_rejected)
    app.exception_handler(RequestValidationError)(_invalid)
    app.exception_handler(HTTPException)(_by_status)
    for each in OF_THE_DATABASE:
        app.exception_handler(each)(_database_error)
    app.exception_handler(ClientDisconnect)(_disconnected)
    app.exception_handler(Exception)(_internal)


async def answer(request: Request, error: Exception) -> JSONResponse:
    """Return the answer to any error that is no failure of the service itself; raises the others."""
    if isinstance(error, Rejected):
        return await _rejected(request, error)
    if isinstance(error, RequestValidationError):
        return await _invalid(request, error)
    if isinstance(error, HTTPException):
        return await _by_status(request, error)
    return await _database_error(request, error)


async def _rejected(_request: Request, error: Rejected) -> JSONResponse:
    return problem(error)


async def _invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
    fields = [
        {"field": _field(fault["loc"]), "detail": message(fault)}
        for fault in error.errors()
    ]
    detail = "; ".join(f"{each['field']}: {each['detail']}" for each in fields)
    return problem(InvalidRequest(detail, errors=fields))


def message(fault: Mapping[str, Any]) -> str:
    """Return what pydantic says is wrong with a field."""
    # It begins the messages of our own validators so.
    return str(fault["msg"]).removeprefix("Value error, ")


def _field(location: tuple[int | str, ...]) -> str:
    # ("body", "customerName") is customerName; ("body",) alone is the body itself.
    return ".".join(str(part) for part in location[1:]) or str(location[0])


async def _by_status(request: Request, error: HTTPException) -> JSONResponse:
    status = HTTPStatus(error.status_code)
    document = {
        "type": f"urn:problem-type:{status.phrase.lower().replace(' ', '-')}",
        "title": status.description or status.phrase,
        "status": status,
        "detail": error.detail,
    }
    headers = {"Allow": _allowed(request)} if status == 405 else error.headers
    return JSONResponse(document, status, headers, media_type=PROBLEM)


def _allowed(request: Request) -> str:
    # The router names only the methods of the first route that it found at this address: ask for each.
    methods = [
        method
        for method in ("DELETE", "GET", "PATCH", "POST", "PUT")
        if any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL
            for route in request.app.routes
        )
    ]
    return ", ".join([*methods, *(["HEAD"] if "GET" in methods else [])])


async def _database_error(request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, CommitFailed):
        return await _rejected(request, OutcomeUnknown())
    if is_unavailable(error):
        return await _rejected(request, DatabaseUnavailable())
    raise error  # it is logged, and answered by `_internal`


async def _disconnected(_request: Request, _error: ClientDisconnect) -> Response:
    return Response(status_code=400)  # nobody waits for it, and half a body is none


async def _internal(_request: Request, _error: Exception) -> JSONResponse:
    return problem(InternalError())
