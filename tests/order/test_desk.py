"""The order desk: without script, with whatever is typed, and live."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from fastapi.sse import ServerSentEvent

from chassis.http import Read
from chassis.pages import live, watch
from services.order.model import NotificationState
from services.order.pages.desk import Search, render_list
from tests.order.test_order_overview import place, show
from tests.support.eventually import eventually
from tests.support.services import Service, notification_service
from tests.support.simulated_dapr import SimulatedDapr

HOSTILE = [
    "<script>alert(1)</script>",
    "'\"><img src=x onerror=alert(1)>",
    "{{ 7 * 7 }}{% raw %}",
    "ש" * 200,
    "Z\u0335\u0322a\u0334" * 40,
    "w" * 200,
    "&lt;b&gt;",
]


async def sends(order: Service, **fields: str) -> httpx.Response:
    """Send the desk's form."""
    return await order.http.post("/", data=fields)


async def test_an_order_that_is_placed_on_the_desk_is_listed_there(
    order: Service,
) -> None:
    answer = await sends(order, customerName="Jane Doe", idempotencyKey=str(uuid4()))

    assert answer.status_code == 303
    shown = await order.http.get(answer.request.url.join(answer.headers["location"]))
    assert "is accepted" in shown.text
    assert "<bdi>Jane Doe</bdi>" in shown.text
    assert "WAITING" in shown.text


async def test_what_the_api_refuses_is_said_at_its_field_and_the_input_is_kept(
    order: Service,
) -> None:
    sent = {"customerName": "Jane\u202eDoe", "customerEmail": "nobody"}
    answer = await sends(order, **sent)
    refused = (await order.http.post("/api/order", json=sent)).json()["errors"]

    assert answer.status_code == 422
    for each in refused:
        at = f'id="{each["field"]}-about">{each["detail"]}'.replace("'", "&#39;")
        assert at in answer.text
    assert answer.text.count('aria-invalid="true"') == len(refused) == 2
    assert 'value="nobody"' in answer.text
    assert await place(order) == []
    assert "There is no such order yet" in answer.text


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_name_is_nothing_but_text(order: Service, name: str) -> None:
    await sends(order, customerName=name)

    listed = (await order.http.get("/")).text
    link = re.search(r'href="\./(orders/[0-9a-f-]{36})"', listed)
    assert link
    journey = (await order.http.get(f"/{link[1]}")).text
    again = (await order.http.get("/", params={"find": name})).text
    for each in (listed, journey, again):
        assert "<script>alert" not in each
        assert "<img" not in each
    for each in ("<", "&", '"'):
        if each in name:
            assert name not in listed
    assert link[1] in again


async def test_a_whole_id_leads_to_its_order(order: Service) -> None:
    (order_id,) = await place(order, "Jane Doe")

    answer = await order.http.get("/", params={"find": f" {order_id} "})
    shown = await order.http.get(answer.request.url.join(answer.headers["location"]))

    assert answer.status_code == 303
    assert shown.status_code == 200
    assert str(order_id) in shown.text


async def test_an_order_that_is_not_there_is_a_page_that_says_so(
    order: Service,
) -> None:
    answer = await order.http.get(f"/orders/{uuid4()}")

    assert answer.status_code == 404
    assert "<h1>There is no order with this id.</h1>" in answer.text


async def test_the_list_is_searched_and_paged_by_links(order: Service) -> None:
    placed = await place(order, *(f"Jane {number}" for number in range(60)), "Ann")
    await show(order, placed[0], NotificationState.SENT)
    await show(order, placed[1], NotificationState.SENT)

    first = (await order.http.get("/?find=jane&since=2020-01-01")).text
    older = re.search(r'href="\./(\?find=jane[^"]*cursor=[^"]*)">Older', first)
    assert older
    second = (await order.http.get("/" + older[1].replace("&amp;", "&"))).text

    assert len(re.findall(r"<bdi>Jane \d+</bdi>", first)) == 50
    assert len(re.findall(r"<bdi>Jane \d+</bdi>", second)) == 10
    assert "<bdi>Ann</bdi>" not in first + second
    assert second.count('"badge good"') == 2


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("state=GONE", "Notification"),
        ("since=yesterday", "From"),
        ("until=9999-12-31", "To"),
        ("find=" + "a" * 201, "Name or order id"),
        ("find=%00", "Name or order id"),
        ("find=a%E2%80%AE", "Name or order id"),
        ("cursor=1", "Page"),
    ],
)
async def test_a_search_that_means_nothing_says_which_field_is_wrong(
    order: Service, query: str, field: str
) -> None:
    answer = await order.http.get(f"/?{query}")

    assert answer.status_code == 422
    assert f'<p class="error">{field}: ' in answer.text


async def test_an_order_is_watched_on_its_way(
    order: Service,
    tmp_path: Path,
    dapr: SimulatedDapr,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live, "INTERVAL", 0.05)
    stream = watch(_read(order), render_list, Search())
    empty = await _next(stream)
    await place(order, "Jane Doe")
    async with notification_service(tmp_path, dapr):
        seen = ""
        while "5/5" not in seen:
            seen = await _next(stream)

    assert "There is no such order yet" in empty
    assert "badge good" in seen
    await stream.aclose()  # type: ignore[attr-defined]


async def test_a_silent_notification_service_does_not_hold_up_the_desk(
    order: Service, dapr: SimulatedDapr
) -> None:
    await place(order, "Jane Doe")

    async def is_published() -> bool:
        return (
            "The notification service does not answer"
            in (await order.http.get("/")).text
        )

    await eventually(is_published, "the desk says that nobody answers", 20)
    started = asyncio.get_running_loop().time()
    await order.http.get("/")

    assert asyncio.get_running_loop().time() - started < 2


def _read(order: Service) -> Read:
    scope = {"type": "http", "app": order.app, "path": "/live", "root_path": ""}
    return Read({**scope, "query_string": b"", "headers": [], "server": ("app", 80)})


async def _next(stream: AsyncIterator[ServerSentEvent]) -> str:
    each = await asyncio.wait_for(anext(stream), 20)
    return each.raw_data or ""
