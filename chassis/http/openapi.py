"""The API's description: FastAPI's, with our problem documents, and without what only Dapr calls."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial
from inspect import signature
from itertools import groupby
from operator import attrgetter
from typing import Any, TypeVar

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts

from chassis.access import (
    INTERNAL,
    OPEN,
    Access,
    IssuerUnavailable,
    ScopeMissing,
    Unauthenticated,
)
from chassis.errors import (
    PROBLEM,
    DatabaseUnavailable,
    InternalError,
    InvalidRequest,
    MalformedRequest,
    Rejected,
)
from chassis.http.models import NEEDED_WITHOUT_TOKENS

Json = dict[str, Any]
F = TypeVar("F", bound=Callable[..., object])

FROM_THE_SIDECAR = "Dapr"
"""The tag of routes that only the sidecar calls (chassis/inbox/subscriptions.py), described in AsyncAPI."""
HEALTH = "Health"
"""The tag of routes that answer without the database."""

_OF_FASTAPI = ("HTTPValidationError", "ValidationError")
_LOCATION = {
    "schema": {"type": "string"},
    "description": "Where it is shown: an address relative to the request's own",
}
_FIELD_ERROR = {
    "type": "object",
    "required": ["field", "detail"],
    "properties": {"field": {"type": "string"}, "detail": {"type": "string"}},
}
_PROBLEM_SCHEMA = {
    "title": "ProblemDocument",
    "description": "Why a request was refused (RFC 9457). A problem may have members of its own.",
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri", "description": "For programs: it never changes."},
        "title": {"type": "string", "description": "What is wrong in general."},
        "status": {"type": "integer", "description": "The HTTP status."},
        "detail": {"type": "string", "description": "What is wrong this time."},
        "errors": {"type": "array", "items": _FIELD_ERROR, "description": "Each field that is not valid."},
    },
    "additionalProperties": True,
}  # fmt: skip


_SCHEME = "accessToken"
_SECURITY = {
    "type": "openIdConnect",
    "description": "An access token (JWT) of this issuer, as `Authorization: Bearer <token>`. `operate` includes "
    "every scope that reads. Where the service has no access control, on loopback alone, none is asked for.",
}
_EXAMPLE_ISSUER = "https://id.example.org"
_DISCOVERY = "/.well-known/openid-configuration"


def refuses(*classes: type[Rejected]) -> Callable[[F], F]:
    """Declare what a route, or a dependency of routes, may raise: the description has it from here.

    On a route it stands below the decorator that makes it one.
    """

    def declare(function: F) -> F:
        function.refusals = classes  # type: ignore[attr-defined]
        return function

    return declare


def _answer(classes: Sequence[type[Rejected]]) -> Json:
    examples = {
        each.type().rpartition(":")[2]: {
            "summary": each.title(),
            "value": _example(each),
        }
        for each in classes
    }
    content = {
        "schema": {"$ref": "#/components/schemas/ProblemDocument"},
        "examples": examples,
    }
    description = " Or: ".join(each.title() for each in classes)
    return {"description": description, "content": {PROBLEM: content}}


def _example(error: type[Rejected]) -> Json:
    document = {"type": error.type(), "title": error.title(), "status": error.status}
    if error is not InvalidRequest:
        return {**document, "detail": error.title()}
    field, detail = "limit", "Input should be less than or equal to 200"
    errors = [{"field": field, "detail": detail}]
    return {**document, "detail": f"{field}: {detail}", "errors": errors}


def install(app: FastAPI) -> None:
    """Make the app describe itself so; the description is made when it is first asked for."""
    # FastAPI's documented way.
    app.openapi = cache(partial(describe, app))  # type: ignore[method-assign]


def describe(app: FastAPI) -> Json:
    """Return the description of what a client may ask of this app."""
    routes = [
        each
        for each in iter_route_contexts(app.routes)
        if FROM_THE_SIDECAR not in (getattr(each, "tags", None) or [])
    ]
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=routes,
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name in _OF_FASTAPI:
        schemas.pop(name, None)
    # Not Problem: services have problems of their own to describe.
    schemas["ProblemDocument"] = _PROBLEM_SCHEMA
    document["components"]["securitySchemes"] = {_SCHEME: _scheme(app)}
    _require(schemas, has_tokens=_access(app) is not None)
    described = {
        each.unique_id: each
        for each in routes
        if isinstance(each.original_route, APIRoute)
    }
    for operation in operations(document):
        _complete(operation, described[operation["operationId"]])
    return _renamed(document)


def _complete(operation: Json, route: RouteContext) -> None:
    """Complete what FastAPI says of an operation by what its route declares."""
    own = tuple(_declaring(route.dependant))
    scope = getattr(route.original_route, "needs", None)
    _summarise(operation)
    operation["security"] = [] if scope in _UNPROVEN else [{_SCHEME: [scope]}]
    for each in own:
        if header := getattr(each, "header", None):
            operation.setdefault("parameters", []).append(header)
    refusals = [error for each in own for error in getattr(each, "refusals", ())]
    refusals += _OF_CALLERS if operation["security"] else ()
    _describe_answers(operation, (*refusals, *_of_every_route(operation)))


_UNPROVEN = (None, OPEN, INTERNAL)
_OF_CALLERS = (Unauthenticated, ScopeMissing, IssuerUnavailable)


def _require(schemas: Json, *, has_tokens: bool) -> None:
    for schema in schemas.values():
        for name, each in schema.get("properties", {}).items():
            if each.pop(NEEDED_WITHOUT_TOKENS, False) and not has_tokens:
                schema["required"] = sorted({*schema.get("required", []), name})


def _access(app: FastAPI) -> Access | None:
    parts = getattr(app.state, "parts", None)
    access: Access | None = parts and parts.access
    return access


def _scheme(app: FastAPI) -> Json:
    access = _access(app)
    issuer = access.issuer.url if access else _EXAMPLE_ISSUER
    return {**_SECURITY, "openIdConnectUrl": issuer.rstrip("/") + _DISCOVERY}


def _renamed(document: Json) -> Json:
    # Classes of one name are told apart by their modules' paths: not for whoever reads the description.
    text = json.dumps(document)
    for name in document["components"]["schemas"]:
        text = re.sub(rf'(/|"){re.escape(name)}"', rf'\1{schema_name(name)}"', text)
    renamed: Json = json.loads(text)
    return renamed


def schema_name(name: str) -> str:
    """Return the name of a schema without its module's path: a State of `outbox` is an OutboxState."""
    path, _, own = name.removesuffix("-Input").rpartition("__")
    if paged := re.fullmatch(r"Page_(\w+)_", own):
        own = f"{paged[1]}Page"
    module = path.removesuffix("__model").rpartition("__")[2]
    return f"{module.title().replace('_', '')}{own}"


def operations(document: Json) -> Iterator[Json]:
    """Yield every operation of a description."""
    for item in document["paths"].values():
        yield from item.values()


def _declaring(dependant: Dependant) -> Iterator[object]:
    # The function of a route or of what it depends on, and the class of the request that it takes.
    yield dependant.call
    if dependant.call and (request := dependant.request_param_name):
        yield signature(dependant.call, eval_str=True).parameters[request].annotation
    for each in dependant.dependencies:
        yield from _declaring(each)


def _of_every_route(operation: Json) -> Iterator[type[Rejected]]:
    yield MalformedRequest
    if "requestBody" in operation or "parameters" in operation:
        yield InvalidRequest
    if HEALTH not in operation.get("tags", []):
        yield from (InternalError, DatabaseUnavailable)


def _summarise(operation: Json) -> None:
    # The docstring: its first line is the summary, the rest describes.
    summary, _, description = operation.pop("description", "").partition("\n\n")
    operation["summary"] = summary.rstrip(".") or operation["summary"]
    if description:
        operation["description"] = description


def _describe_answers(operation: Json, refusals: Iterable[type[Rejected]]) -> None:
    answers = operation["responses"]
    if _OF_FASTAPI[0] in str(answers.get("422")):
        del answers["422"]
    if "201" in answers:
        answers["201"]["headers"] = {"Location": _LOCATION}
    status = attrgetter("status")
    for each, classes in groupby(sorted(refusals, key=status), status):
        answers.setdefault(str(each), _answer([*classes]))
    operation["responses"] = dict(sorted(answers.items()))
