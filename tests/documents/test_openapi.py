"""The services' OpenAPI: valid, worth reading, with our problem documents, and without Dapr's routes."""

import json
import re
from functools import cache, partial
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, Response
from fastapi.routing import iter_route_contexts
from fastapi.security import HTTPBearer
from openapi_spec_validator import OpenAPIV31SpecValidator

from chassis.errors import Rejected
from chassis.http import FROM_THE_SIDECAR, Read, Router, Unit, openapi, refuses
from chassis.http.app import ApiRoute
from tests.support.issuer import SCOPES
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
    """Return every operation of every service, to be tested one by one."""
    return [
        pytest.param(service, operation, id=f"{service}.{operation['operationId']}")
        for service in services.names()
        for operation in openapi.operations(committed(service))
    ]


@pytest.mark.parametrize("service", services.names())
def test_it_is_valid(service: str) -> None:
    assert list(OpenAPIV31SpecValidator(committed(service)).iter_errors()) == []


@pytest.mark.parametrize(("service", "operation"), everywhere())
def test_every_operation_says_what_it_does(service: str, operation: Json) -> None:
    by_default = operation["operationId"].replace("_", " ").title()

    assert operation["tags"], service
    assert operation["summary"] != by_default, "its function needs a docstring"


@pytest.mark.parametrize(("service", "operation"), everywhere())
def test_every_refusal_is_a_problem_document(service: str, operation: Json) -> None:
    answers = operation["responses"]
    refused = {status: each for status, each in answers.items() if status >= "400"}

    assert service
    for status, answer in refused.items():
        assert list(answer["content"]) == ["application/problem+json"], status
        examples = answer["content"]["application/problem+json"]["examples"]
        for name, example in examples.items():
            assert example["value"]["type"] == f"urn:problem-type:{name}"
            assert example["value"]["status"] == int(status)
    if "parameters" in operation or "requestBody" in operation:
        assert {"422", "500", "503"} <= refused.keys()
    names = [each["name"] for each in operation.get("parameters", [])]
    if "requestBody" in operation or "Idempotency-Key" in names:
        assert {"400", "413", "415"} <= refused.keys(), "a body is checked everywhere"


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
        *("201", "400", "401", "403", "409", "413"),
        *("415", "422", "500", "503"),
    }
    assert "Location" in answers["201"]["headers"]
    assert (
        "404" in committed("order")["paths"]["/api/order/{orderId}"]["get"]["responses"]
    )


@pytest.mark.parametrize("service", services.names())
def test_every_route_that_clients_send_a_body_to_checks_it(service: str) -> None:
    unchecked = [
        each.path
        for each in iter_route_contexts(services.app(service).routes)
        if (each.methods or {"GET", "HEAD"}) - {"GET", "HEAD"}
        and FROM_THE_SIDECAR not in each.tags
        and not isinstance(each.original_route, ApiRoute)
    ]

    assert unchecked == [], "its router is none of chassis.http"


async def test_the_service_serves_the_document_that_is_committed(
    order: Service,
) -> None:
    assert (await order.http.get("/openapi.json")).json() == committed("order")


async def test_a_refusal_looks_as_it_is_described(order: Service) -> None:
    answer = await order.http.get("/api/order?limit=201")

    described = committed("order")["paths"]["/api/order"]["get"]["responses"]["422"]
    (example,) = described["content"]["application/problem+json"]["examples"].values()
    assert answer.json() == example["value"]


class OutOfStock(Rejected):
    """There is none left."""

    status = 503


class NoOrderAtAll(Rejected):
    """It is no order."""

    status = 422


def described(*refused: type[Rejected], **declared: Any) -> Json:  # noqa: ANN401 - FastAPI's
    """Return the described answers of a route that refuses so, and is declared so."""
    app = FastAPI()

    @app.get("/api/thing", tags=["Things"], **declared)
    @refuses(*refused)
    async def get_thing(limit: int = 1) -> dict[str, int]:
        """Show a thing."""
        return {"limit": limit}

    answers: Json = openapi.describe(app)["paths"]["/api/thing"]["get"]["responses"]
    return answers


def examples(answer: Json) -> set[str]:
    """Return the names of the problems that an answer shows."""
    return set(answer["content"]["application/problem+json"]["examples"])


def test_a_route_s_own_refusals_stand_beside_the_general_ones() -> None:
    answers = described(OutOfStock, NoOrderAtAll)

    beside = {
        "503": {"out-of-stock", "database-unavailable"},
        "422": {"no-order-at-all", "invalid-request"},
    }
    for status, names in beside.items():
        assert examples(answers[status]) == names
    assert answers["503"]["description"].startswith("There is none left. Or: ")


def test_an_answer_of_another_kind_is_left_as_the_route_describes_it() -> None:
    own = {"description": "Nothing yet", "content": {"text/plain": {}}}

    assert described(responses={503: own})["503"] == own


@refuses(OutOfStock)
async def in_stock() -> None:
    """Refuse where nothing is left."""


@refuses(NoOrderAtAll)
async def within_another(_stock: Annotated[None, Depends(in_stock)]) -> None:
    """Depend on another dependency."""


def test_what_a_dependency_refuses_is_described_by_every_route_that_has_it() -> None:
    router = Router(tags=["Things"])

    @router.post("/api/thing", dependencies=[Depends(within_another)])
    async def post_thing(unit: Unit) -> Response:
        """Create a thing."""
        raise NotImplementedError(unit)

    app = FastAPI(generate_unique_id_function=lambda route: route.name)
    app.include_router(router)

    operation = openapi.describe(app)["paths"]["/api/thing"]["post"]

    keys = {"idempotency-key-reused", "malformed-idempotency-key", "request-in-flight"}
    shown = {name for each in operation["responses"].values() for name in _shown(each)}
    assert {*keys, "out-of-stock", "no-order-at-all", "backlog-full"} <= shown
    (header,) = [each["name"] for each in operation["parameters"]]
    assert header == "Idempotency-Key"


def test_a_dependency_may_be_any_callable() -> None:
    app = FastAPI()
    bearer, wrapped = Depends(HTTPBearer()), Depends(partial(in_stock))

    @app.get("/api/thing", tags=["Things"], dependencies=[bearer, wrapped])
    async def get_thing(read: Read) -> None:
        """Show a thing."""
        raise NotImplementedError(read)

    described = openapi.describe(app)["paths"]["/api/thing"]["get"]

    assert described["summary"] == "Show a thing"


def _shown(answer: Json) -> set[str]:
    refused = "application/problem+json" in answer.get("content", {})
    return examples(answer) if refused else set()


def test_describing_an_app_twice_says_the_same() -> None:
    app = FastAPI()

    @app.get("/api/thing", tags=["Things"])
    @refuses(OutOfStock)
    async def get_thing() -> None:
        """Show a thing."""

    assert openapi.describe(app) == openapi.describe(app)


@pytest.mark.parametrize("service", services.names())
def test_a_problem_of_operations_is_no_problem_document(service: str) -> None:
    """Two classes of one name would be one schema, and one of the two descriptions wrong."""
    schemas = committed(service)["components"]["schemas"]

    assert "severity" in schemas["Problem"]["properties"]
    assert "status" in schemas["ProblemDocument"]["properties"]
    assert not [name for name in schemas if "__" in name or name.endswith("_")]


@pytest.mark.parametrize(
    ("key", "is_one"),
    [("a-1", True), ('"a-1"', True), ('"a', False), ("a b", False), ("ä", False)],
)
def test_the_description_shows_what_an_idempotency_key_is(
    key: str, *, is_one: bool
) -> None:
    operation = committed("order")["paths"]["/api/order"]["post"]
    (header,) = [each for each in operation["parameters"] if each["in"] == "header"]

    assert bool(re.search(header["schema"]["pattern"], key)) == is_one


@pytest.mark.parametrize(("service", "operation"), everywhere())
def test_every_operation_names_the_scope_that_it_needs(
    service: str, operation: Json
) -> None:
    is_open = operation["tags"] == ["Health"]
    scopes = [scope for each in operation["security"] for scope in each["accessToken"]]

    assert (scopes == []) == is_open, service
    assert {*scopes} <= {*SCOPES, f"{service.replace('_', '-')}:read"}
    assert ("401" in operation["responses"]) == bool(scopes)
