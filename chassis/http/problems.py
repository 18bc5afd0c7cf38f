"""How the API's description shows a refusal: our problem document, with an example of each."""

from itertools import groupby
from operator import attrgetter
from typing import Any

from chassis.errors import InvalidRequest, Rejected

Json = dict[str, Any]

PROBLEM = "application/problem+json"

_FIELD_ERROR = {
    "type": "object",
    "required": ["field", "detail"],
    "properties": {"field": {"type": "string"}, "detail": {"type": "string"}},
}
SCHEMA = {
    "title": "Problem",
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


def refusals(*classes: type[Rejected]) -> dict[int | str, Json]:
    """Describe how a route refuses, beside what every route may answer: its `responses`."""
    by_status = groupby(sorted(classes, key=attrgetter("status")), attrgetter("status"))
    return {status: _refusal(list(of_it)) for status, of_it in by_status}


def _refusal(classes: list[type[Rejected]]) -> Json:
    examples = {
        each.type().rpartition(":")[2]: {
            "summary": each.title(),
            "value": _example(each),
        }
        for each in classes
    }
    content = {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": examples}
    description = " Or: ".join(each.title() for each in classes)
    return {"description": description, "content": {PROBLEM: content}}


def _example(refusal: type[Rejected]) -> Json:
    detail = "limit: Input should be less than or equal to 200"
    field, _, fault = detail.partition(": ")
    members = {"errors": [{"field": field, "detail": fault}]}
    invalid = refusal is InvalidRequest
    return {
        "type": refusal.type(),
        "title": refusal.title(),
        "status": refusal.status,
        "detail": detail if invalid else refusal.title(),
        **(members if invalid else {}),
    }
