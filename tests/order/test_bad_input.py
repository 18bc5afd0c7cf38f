"""Whatever is wrong with a request, the answer names it, and nothing is stored."""

from typing import Any

import httpx
import pytest
from sqlalchemy import select

from chassis.outbox.outbox import outbox
from services.order.model import Order
from tests.support.services import Service

JSON = {"content-type": "application/json"}
# fmt: off
NO_ADDRESSES = {
    "empty": "",
    "blank": " ",
    "number": 42,
    "list": ["jane@example.org"],
    "no domain": "jane",
    "empty domain": "jane@",
    "no local part": "@example.org",
    "no top-level domain": "jane@localhost",
    "reserved domain": "jane@example.test",
    "a number for a domain": "jane@192.0.2.1",
    "domain literal": "jane@[192.0.2.1]",
    "no host name": "jane@ex_ample.org",
    "hyphen first": "jane@-example.org",
    "two dots in the domain": "jane@example..org",
    "two dots": "jane..doe@example.org",
    "dot first": ".jane@example.org",
    "dot last": "jane.@example.org",
    "space before": " jane@example.org",
    "space after": "jane@example.org ",
    "space within": "jane doe@example.org",
    "two with a semicolon": "jane@example.org;ann@example.org",
    "two with a comma": "jane@example.org,ann@example.org",
    "semicolon": "jane;ann@example.org",
    "two at-signs": "jane@ann@example.org",
    "another header": "jane@example.org\r\nBcc: ann@example.org",
    "line feed": "jane\n@example.org",
    "carriage return": "jane@example.org\r",
    "nul": "jane@example.org\x00",
    "display name": "Jane <jane@example.org>",
    "angle brackets": "<jane@example.org>",
    "comment": "jane(doe)@example.org",
    "quoted local part": '"jane doe"@example.org',
    "quoted without need": '"jane"@example.org',
    "backslash": "jane\\@example.org",
    "local part not ASCII": "zo\u00eb@example.org",
    "invisible character": "ja\u200bne@example.org",
    "at-sign not ASCII": "jane\uff20example.org",
    "bidirectional control": "jane@exam\u202eple.org",
    "local part over 64": f"{'j' * 65}@example.org",
    "label over 63": f"jane@{'e' * 64}.org",
    "over 254": "jane@" + ("e" * 62 + ".") * 4 + "org",
    "over 254 as DNS has it": "jane@" + "\u00fc" * 30 + ("." + "\u00fc" * 30) * 5 + ".org",
}
# fmt: on


async def is_refused(
    order: Service, answer: httpx.Response, status: int, problem: str
) -> dict[str, Any]:
    """Check a problem document, and that nothing was stored."""
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert (answer.status_code, document["type"]) == (
        status,
        f"urn:problem-type:{problem}",
    )
    assert document["status"] == status
    assert document["title"]
    assert document["detail"]
    async with order.database.read() as session:
        assert (await session.execute(select(Order.id))).all() == []
        assert (await session.execute(select(outbox.c.position))).all() == []
    return document


@pytest.mark.parametrize(
    ("body", "field"),
    [
        pytest.param({}, "customerName", id="missing"),
        pytest.param({"customerName": ""}, "customerName", id="empty"),
        pytest.param({"customerName": " \t "}, "customerName", id="blank"),
        pytest.param({"customerName": "\u200b\u2060"}, "customerName", id="invisible"),
        pytest.param({"customerName": "J" * 201}, "customerName", id="over-long"),
        pytest.param({"customerName": "Jane\nDoe"}, "customerName", id="line break"),
        pytest.param(
            {"customerName": "Jane\x00Doe"}, "customerName", id="control character"
        ),
        pytest.param(
            {"customerName": "Jane\u2028Doe"}, "customerName", id="line separator"
        ),
        pytest.param(
            {"customerName": "Jane\u202eeoD"},
            "customerName",
            id="bidirectional control",
        ),
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


@pytest.mark.parametrize("address", NO_ADDRESSES.values(), ids=NO_ADDRESSES)
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


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x", "cursor=x"])
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
    assert set(answer.headers["allow"].split(", ")) == {"GET", "POST"}


async def test_an_unknown_address_is_a_problem_document_too(order: Service) -> None:
    await is_refused(order, await order.http.get("/api/orders"), 404, "not-found")
