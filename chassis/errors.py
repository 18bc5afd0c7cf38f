"""How the API refuses: one problem document (RFC 9457) for every status, each with a stable type."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, ClassVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match

from chassis.database.transient import TROUBLE, is_away


class Rejected(Exception):
    """The request cannot be carried out."""

    status: ClassVar[int] = 400
    retry_after: ClassVar[int | None] = None
    """After how many seconds it is worth trying again, where it is."""

    def __init__(self, detail: str = "", **members: object) -> None:
        super().__init__(detail or self.title())
        self.members = members

    @classmethod
    def title(cls) -> str:
        """Say what is wrong in general: the first line of the class's docstring."""
        return (cls.__doc__ or "").split("\n")[0]

    @classmethod
    def type(cls) -> str:
        """Name the problem for programs: OrderNotFound is urn:problem-type:order-not-found."""
        return (
            f"urn:problem-type:{re.sub(r'(?<!^)(?=[A-Z])', '-', cls.__name__).lower()}"
        )


class MalformedJson(Rejected):
    """The body is not valid JSON."""


class BodyTooLarge(Rejected):
    """The body is too large."""

    status = 413


class UnsupportedMediaType(Rejected):
    """The body must be sent as application/json."""

    status = 415


class InvalidRequest(Rejected):
    """The request has fields that are not valid."""

    status = 422


class InternalError(Rejected):
    """Something went wrong inside the service; nothing was changed."""

    status = 500


class NotReady(Rejected):
    """The service is not ready."""

    status = 503


class DatabaseUnavailable(Rejected):
    """The service's database does not answer; nothing was changed, try again."""

    status = 503
    retry_after = 1


def problem(error: Rejected, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Turn a refusal into its answer."""
    document: dict[str, Any] = {
        "type": error.type(),
        "title": error.title(),
        "status": error.status,
        "detail": str(error),
        **error.members,
    }
    return JSONResponse(
        document, error.status, headers, media_type="application/problem+json"
    )


def install(app: FastAPI) -> None:
    """Give every error of this app its problem document."""
    app.add_exception_handler(Rejected, _rejected)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _by_status)
    for each in TROUBLE:
        app.add_exception_handler(each, _trouble)
    app.add_exception_handler(Exception, _internal)


async def _rejected(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Rejected)  # noqa: S101 - Starlette's signature says Exception
    wait = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    return problem(error, wait)


async def _invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    faults = error.errors()
    if any(fault["type"] == "json_invalid" for fault in faults):
        return problem(
            MalformedJson(f"{MalformedJson.title()[:-1]}: {faults[0]['ctx']['error']}.")
        )
    fields = [
        {"field": _field(fault["loc"]), "detail": _detail(fault)} for fault in faults
    ]
    return problem(
        InvalidRequest(
            "; ".join(f"{f['field']}: {f['detail']}" for f in fields), errors=fields
        )
    )


def _field(location: tuple[int | str, ...]) -> str:
    # ("body", "customerName") is customerName; ("body",) alone is the body itself.
    return ".".join(str(part) for part in location[1:]) or str(location[0])


def _detail(fault: dict[str, Any]) -> str:
    # What a validator of ours says, pydantic begins with "Value error, ".
    return str(fault["msg"]).removeprefix("Value error, ")


async def _by_status(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101
    if (
        error.status_code == 400
    ):  # FastAPI's word for a body that it could not even decode
        return problem(MalformedJson())
    status = HTTPStatus(error.status_code)
    document = {
        "type": f"urn:problem-type:{status.phrase.lower().replace(' ', '-')}",
        "title": status.description or status.phrase,
        "status": status,
        "detail": error.detail,
    }
    headers = {"Allow": _allowed(request)} if status == 405 else error.headers
    return JSONResponse(
        document, status, headers, media_type="application/problem+json"
    )


def _allowed(request: Request) -> str:
    # The router names only the methods of the first route that it found at this address: ask for each.
    return ", ".join(
        method
        for method in ("DELETE", "GET", "PATCH", "POST", "PUT")
        if any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL
            for route in request.app.routes
        )
    )


async def _trouble(request: Request, error: Exception) -> JSONResponse:
    if is_away(error):
        return await _rejected(request, DatabaseUnavailable())
    raise error  # it goes on to the log, and is answered by `_internal`


async def _internal(_request: Request, _error: Exception) -> JSONResponse:
    return problem(InternalError())
