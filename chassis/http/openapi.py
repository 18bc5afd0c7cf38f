"""The API's own description: FastAPI's, with our problem documents, and without what only Dapr calls."""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from chassis.errors import (
    BodyTooLarge,
    DatabaseUnavailable,
    InternalError,
    InvalidRequest,
    MalformedJson,
    Rejected,
    UnsupportedMediaType,
)
from chassis.http import health
from chassis.http.problems import PROBLEM, SCHEMA, refusals

Json = dict[str, Any]

FROM_THE_SIDECAR = "Dapr"
"""The tag of what only the sidecar calls (chassis/subscriptions.py); docs/api/asyncapi.yaml has them."""

_OF_FASTAPI = ("HTTPValidationError", "ValidationError")


def install(app: FastAPI) -> None:
    """Let the app describe itself so, at /openapi.json too; it is made when first asked for."""

    def openapi() -> Json:
        app.openapi_schema = app.openapi_schema or describe(app)
        return app.openapi_schema

    # FastAPI's documented way.
    app.openapi = openapi  # type: ignore[method-assign]


def describe(app: FastAPI) -> Json:
    """Describe what a client may ask of this app."""
    tagged = [(route, getattr(route, "tags", None) or []) for route in app.routes]
    routes = [route for route, tags in tagged if FROM_THE_SIDECAR not in tags]
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=routes,
    )
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for name in _OF_FASTAPI:
        schemas.pop(name, None)
    schemas["Problem"] = SCHEMA
    components["responses"] = {}
    for operation in operations(document):
        _summarise(operation)
        _answer(operation, components)
    _leave_repetitions_out(document)
    return document


def operations(document: Json) -> Iterator[Json]:
    """Give every operation of a description."""
    for item in document["paths"].values():
        yield from item.values()


def _summarise(operation: Json) -> None:
    # The docstring: its first line is the summary, the rest describes.
    summary, _, description = operation.pop("description", "").partition("\n\n")
    operation["summary"] = summary.rstrip(".") or operation["summary"]
    if description:
        operation["description"] = description


def _answer(operation: Json, components: Json) -> None:
    answers = operation["responses"]
    if _OF_FASTAPI[0] in str(answers.get("422")):
        del answers["422"]
    for refusal in _of_every_route(operation):
        described = refusals(refusal)[refusal.status]
        components["responses"][refusal.__name__] = described
        by_name = {"$ref": f"#/components/responses/{refusal.__name__}"}
        own = answers.get(str(refusal.status))
        answers[str(refusal.status)] = _both(own, described) if own else by_name
    for answer in answers.values():
        if answer.get("description") == "Successful Response":
            answer["description"] = _what_it_is(answer, components["schemas"])
    operation["responses"] = dict(sorted(answers.items()))


def _of_every_route(operation: Json) -> Iterator[type[Rejected]]:
    if "requestBody" in operation:
        yield from (MalformedJson, BodyTooLarge, UnsupportedMediaType)
    if "requestBody" in operation or "parameters" in operation:
        yield InvalidRequest
    if operation.get("tags") != health.router.tags:
        yield from (InternalError, DatabaseUnavailable)


def _both(own: Json, general: Json) -> Json:
    content = own.get("content", {}).get(PROBLEM)
    if content is None:
        return own
    examples = content["examples"] | general["content"][PROBLEM]["examples"]
    return {
        **own,
        "description": f"{own['description']} Or: {general['description']}",
        "content": {**own["content"], PROBLEM: {**content, "examples": examples}},
    }


def _what_it_is(answer: Json, schemas: Json) -> str:
    # What a body is, its class says in the first line of its docstring.
    content = answer.get("content", {}).get("application/json", {}).get("schema", {})
    named = schemas.get(content.get("$ref", "").rpartition("/")[2], {})
    return str(named.get("description", "Done.")).partition("\n")[0]


def _leave_repetitions_out(document: Json) -> None:
    for schema in document["components"]["schemas"].values():
        _without_titles(schema)
    for operation in operations(document):
        for parameter in operation.get("parameters", []):
            parameter["schema"] = _given(parameter["schema"])
        contents = [operation.get("requestBody", {}), *operation["responses"].values()]
        for content in contents:
            for media in content.get("content", {}).values():
                media.get("schema", {}).pop("title", None)


def _without_titles(schema: Json) -> None:
    # A title "Customername" says no more than the field's name does.
    for field in schema.get("properties", {}).values():
        field.pop("title", None)
        _without_titles(field)


def _given(schema: Json) -> Json:
    # A parameter is given or it is not: there is no null in an address.
    kinds = [each for each in schema.pop("anyOf", []) if each != {"type": "null"}]
    only = kinds[0] if len(kinds) == 1 else {"anyOf": kinds} if kinds else {}
    return {
        **only,
        **{k: v for k, v in schema.items() if k not in {"title", "description"}},
    }
