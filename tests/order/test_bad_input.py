"""Whatever is wrong with a request, the answer names it, and nothing is stored."""

from typing import Any

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from chassis.outbox.outbox import outbox
from services.order.model import Order
from tests.support.services import Service

JSON = {"content-type": "application/json"}


async def is_refused(
    order: Service, answer: httpx.Response, status: int, problem: str
) -> dict[str, Any]:
    """Check a problem document, and that nothing was stored; return it."""
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert (answer.status_code, document["type"]) == (
        status,
        f"urn:problem-type:{problem}",
    )
    assert document["status"] == status
    assert document["title"]
    assert document["detail"]
    assert await order.database.read(_stored) == ([], [])
    return document


def _stored(session: Session) -> tuple[list[Any], list[Any]]:
    orders, events = select(Order.order_id), select(outbox.c.position)
    return [*session.scalars(orders)], [*session.scalars(events)]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        pytest.param({}, "customerName", id="missing"),
        pytest.param({"customerName": ""}, "customerName", id="empty"),
        pytest.param({"customerName": "J" * 201}, "customerName", id="over-long"),
        pytest.param({"customerName": "Jane\nDoe"}, "customerName", id="line break"),
        pytest.param({"customerName": 42}, "customerName", id="number"),
        pytest.param({"customerName": None}, "customerName", id="null"),
        pytest.param({"customerName": ["Jane"]}, "customerName", id="list"),
        pytest.param({"customer_name": "Jane"}, "customer_name", id="another spelling"),
        pytest.param({"customerName": "Jane", "vip": True}, "vip", id="unknown field"),
        pytest.param(["Jane"], "body", id="not an object"),
        pytest.param(None, "body", id="null body"),
    ],
)
async def test_a_field_that_is_not_valid_is_named(
    order: Service, body: object, field: str
) -> None:
    answer = await order.http.post("/api/order", json=body, headers=JSON)

    document = await is_refused(order, answer, 422, "invalid-request")
    assert field in {error["field"] for error in document["errors"]}
    assert field in document["detail"]


@pytest.mark.parametrize("address", ["jane", "jane@example.org\r\nBcc: a@example.org"])
async def test_an_address_that_mail_servers_do_not_take_is_named(
    order: Service, address: object
) -> None:
    body = {"customerName": "Jane", "customerEmail": address}
    answer = await order.http.post("/api/order", json=body)

    document = await is_refused(order, answer, 422, "invalid-request")
    (error,) = document["errors"]
    assert error["field"] == "customerEmail"
    assert not error["detail"].startswith("Value error")
    assert document["detail"] == f"customerEmail: {error['detail']}"


async def test_half_a_surrogate_pair_is_no_name(order: Service) -> None:
    answer = await order.http.post(
        "/api/order", content=b'{"customerName": "\\ud800"}', headers=JSON
    )

    document = await is_refused(order, answer, 422, "invalid-request")
    assert document["errors"][0]["field"] == "customerName"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"customerName": ', id="cut off"),
        pytest.param(b"Jane Doe", id="not JSON"),
        pytest.param(b'{"customerName": "\xff"}', id="not UTF-8"),
        pytest.param(b"[" * 60_000, id="nested too deeply"),
        pytest.param(
            b'{"customerName": "Jane", "customerName": "Joe"}', id="a name twice"
        ),
        pytest.param('{"customerName": "Jane"}'.encode("utf-16"), id="UTF-16"),
    ],
)
async def test_a_body_that_is_not_json_is_refused(order: Service, body: bytes) -> None:
    answer = await order.http.post("/api/order", content=body, headers=JSON)

    await is_refused(order, answer, 400, "malformed-json")


async def test_a_body_that_is_missing_is_named(order: Service) -> None:
    answer = await order.http.post("/api/order", headers=JSON)

    document = await is_refused(order, answer, 422, "invalid-request")
    assert document["errors"][0]["field"] == "body"


@pytest.mark.parametrize(
    "content_type", [None, "text/plain", "application/x-www-form-urlencoded", "json"]
)
async def test_another_content_type_is_refused(
    order: Service, content_type: str | None
) -> None:
    headers = {"content-type": content_type} if content_type else {}
    answer = await order.http.post(
        "/api/order", content=b'{"customerName": "Jane"}', headers=headers
    )

    await is_refused(order, answer, 415, "unsupported-media-type")


async def test_a_body_over_64_kib_is_refused(order: Service) -> None:
    body = b'{"customerName": "' + b" " * 65_536 + b'Jane"}'

    answer = await order.http.post("/api/order", content=body, headers=JSON)

    await is_refused(order, answer, 413, "body-too-large")


async def test_a_body_over_64_kib_that_does_not_say_its_length_is_refused(
    order: Service,
) -> None:
    async def chunks() -> Any:  # noqa: ANN401 - httpx takes any iterable of bytes
        for _ in range(70):
            yield b" " * 1024

    answer = await order.http.post("/api/order", content=chunks(), headers=JSON)

    await is_refused(order, answer, 413, "body-too-large")


async def test_the_content_type_may_name_its_charset(order: Service) -> None:
    headers = {"content-type": "Application/JSON; charset=utf-8"}
    answer = await order.http.post(
        "/api/order", content=b'{"customerName": "Jane"}', headers=headers
    )

    assert answer.status_code == 201


@pytest.mark.parametrize("order_id", ["42", "not-an-id", "%00", "a" * 5000])
async def test_an_id_that_is_none_is_named(order: Service, order_id: str) -> None:
    answer = await order.http.get(f"/api/order/{order_id}")

    document = await is_refused(order, answer, 422, "invalid-request")
    assert document["errors"][0]["field"] == "orderId"


async def test_an_unknown_id_is_not_found(order: Service) -> None:
    unknown = "0198c0de-0000-7000-8000-000000000000"

    answer = await order.http.get(f"/api/order/{unknown}")

    document = await is_refused(order, answer, 404, "order-not-found")
    assert document["orderId"] == unknown


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=201", "limit=x", "cursor=x", "state=GONE", "sate=SENT", "q="],
)
async def test_a_page_that_cannot_be_is_refused(order: Service, query: str) -> None:
    answer = await order.http.get(f"/api/order?{query}")

    document = await is_refused(order, answer, 422, "invalid-request")
    assert document["errors"][0]["field"] == query.partition("=")[0]


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
async def test_another_method_is_refused_with_what_is_allowed(
    order: Service, method: str
) -> None:
    answer = await order.http.request(
        method, "/api/order", json={"customerName": "Jane"}
    )

    await is_refused(order, answer, 405, "method-not-allowed")
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD", "POST"}


async def test_an_unknown_address_is_a_problem_document_too(order: Service) -> None:
    await is_refused(order, await order.http.get("/api/orders"), 404, "not-found")
