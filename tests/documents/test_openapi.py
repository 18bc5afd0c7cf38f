"""The services' OpenAPI: valid, worth reading, with our problem documents, and without Dapr's routes."""

import json
from copy import deepcopy
from functools import cache
from typing import Any

import pytest
from fastapi import FastAPI
from openapi_spec_validator import OpenAPIV31SpecValidator

from chassis.errors import DatabaseUnavailable, NotReady, Rejected
from chassis.http import openapi
from chassis.http.problems import refusals
from tests.support.services import Service
from toolchain.documents import publisher, services

Json = dict[str, Any]


@cache
def committed(service: str) -> Json:
    """Read a service's document as it is committed."""
    file = publisher.ROOT / publisher.API / f"{service}.openapi.json"
    loaded: Json = json.loads(file.read_text(encoding="utf-8"))
    return loaded


def everywhere() -> list[Any]:
    """Give every operation of every service, to be tested one by one."""
    return [
        pytest.param(service, operation, id=f"{service}.{operation['operationId']}")
        for service in services.names()
        for operation in openapi.operations(committed(service))
    ]


@pytest.mark.parametrize("service", services.names())
def test_it_is_valid(service: str) -> None:
    assert list(OpenAPIV31SpecValidator(committed(service)).iter_errors()) == []


@pytest.mark.parametrize(
    "change",
    [
        {"info": {"title": "without a version"}},
        {"paths": {"/x": {"get": {"responses": {"200": {}}}}}},
        {
            "paths": {
                "/x/{id}": {
                    "get": {
                        "responses": {},
                        "parameters": [{"name": "id", "in": "path"}],
                    }
                }
            }
        },
        {
            "paths": {
                p: {"get": {"operationId": "same", "responses": {}}}
                for p in ("/x", "/y")
            }
        },
    ],
)
def test_the_validator_finds_what_is_wrong(change: Json) -> None:
    assert list(
        OpenAPIV31SpecValidator(deepcopy(committed("order")) | change).iter_errors()
    )


@pytest.mark.parametrize(("service", "operation"), everywhere())
def test_every_operation_says_what_it_does(service: str, operation: Json) -> None:
    by_default = operation["operationId"].replace("_", " ").title()

    assert operation["tags"], service
    assert operation["summary"] != by_default, "its function needs a docstring"
    for answer in operation["responses"].values():
        assert answer.get("description", answer.get("$ref")) != "Successful Response"


@pytest.mark.parametrize(("service", "operation"), everywhere())
def test_every_refusal_is_a_problem_document(service: str, operation: Json) -> None:
    shared = committed(service)["components"]["responses"]
    refused = {
        status: shared[answer["$ref"].rpartition("/")[2]]
        if "$ref" in answer
        else answer
        for status, answer in operation["responses"].items()
        if status >= "400"
    }

    for status, answer in refused.items():
        assert list(answer["content"]) == ["application/problem+json"], status
        examples = answer["content"]["application/problem+json"]["examples"]
        for name, example in examples.items():
            assert example["value"]["type"] == f"urn:problem-type:{name}"
            assert example["value"]["status"] == int(status)
    if "parameters" in operation or "requestBody" in operation:
        assert {"422", "500", "503"} <= refused.keys()
    if "requestBody" in operation:
        assert {"400", "413", "415"} <= refused.keys()


@pytest.mark.parametrize("service", services.names())
def test_what_only_dapr_calls_is_not_in_it(service: str) -> None:
    paths = committed(service)["paths"]

    assert not [path for path in paths if path.startswith("/dapr/")]
    assert not [
        path
        for path, item in paths.items()
        if path.startswith("/events/") and "post" in item
    ]
    assert "HTTPValidationError" not in json.dumps(committed(service))


def test_an_order_says_what_can_be_wrong_with_it() -> None:
    answers = committed("order")["paths"]["/api/order"]["post"]["responses"]

    assert set(answers) == {
        *("201", "400", "409", "413"),
        *("415", "422", "500", "503"),
    }
    assert "Location" in answers["201"]["headers"]
    assert (
        "404" in committed("order")["paths"]["/api/order/{orderId}"]["get"]["responses"]
    )


async def test_the_service_gives_out_the_document_that_is_committed(
    order: Service,
) -> None:
    assert (await order.http.get("/openapi.json")).json() == committed("order")


async def test_a_refusal_looks_as_it_is_described(order: Service) -> None:
    answer = await order.http.get("/api/order?limit=201")

    example = committed("order")["components"]["responses"]["InvalidRequest"]
    (described,) = example["content"]["application/problem+json"]["examples"].values()
    assert answer.json() == described["value"]


class OutOfStock(Rejected):
    """There is none left."""

    status = 503


class NoOrderAtAll(Rejected):
    """It is no order."""

    status = 422


def described(**responses: Any) -> Json:  # noqa: ANN401 - FastAPI's responses
    """Describe an app with one route that answers so."""
    app = FastAPI()

    @app.get("/api/thing", tags=["Things"], **responses)
    async def get_thing(limit: int = 1) -> dict[str, int]:
        """Show a thing."""
        return {"limit": limit}

    answers: Json = openapi.describe(app)["paths"]["/api/thing"]["get"]["responses"]
    return answers


def examples(answer: Json) -> set[str]:
    """Name the problems that an answer shows."""
    return set(answer["content"]["application/problem+json"]["examples"])


def test_a_route_s_own_refusals_stand_beside_the_general_ones() -> None:
    answers = described(responses=refusals(OutOfStock, NoOrderAtAll))

    beside = {
        "503": {"out-of-stock", "database-unavailable"},
        "422": {"no-order-at-all", "invalid-request"},
    }
    for status, names in beside.items():
        assert examples(answers[status]) == names
    assert answers["503"]["description"].startswith("There is none left. Or: ")


def test_two_refusals_with_one_status_are_one_answer() -> None:
    (answer,) = refusals(NotReady, DatabaseUnavailable).values()

    assert examples(answer) == {"not-ready", "database-unavailable"}


def test_an_answer_of_another_kind_is_left_as_the_route_describes_it() -> None:
    own = {"description": "Nothing yet", "content": {"text/plain": {}}}

    assert described(responses={503: own})["503"] == own
