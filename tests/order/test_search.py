"""Searching all orders: by name, state and time, newest first, at a bounded cost."""

from datetime import datetime, timedelta

import pytest

from services.order.model import NotificationState
from services.order.views import order_overview
from tests.order.test_order_overview import place, show
from tests.support.services import Service


async def found(order: Service, **query: str) -> list[str]:
    """Return the names that a search finds, all pages after one another."""
    names: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        answer = await order.http.get("/api/order", params={**query, **cursor})
        assert answer.status_code == 200, answer.text
        page = answer.json()
        names += [each["customerName"] for each in page["items"]]
        if not page["next"]:
            return names
        cursor = {"cursor": page["next"]}


@pytest.mark.parametrize("few", [1000, 0])
async def test_a_name_is_found_by_its_beginning_in_whatever_case_newest_first(
    order: Service, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(order_overview, "FEW", few)
    monkeypatch.setattr(order_overview, "MOST_READ", 3)
    await place(order, "Jane Doe", "JANET", "Ann", "jan", "Jörg", "JO\u0308RG 2", "Ja")

    assert await found(order, name="jane") == ["JANET", "Jane Doe"]
    assert await found(order, name="Jan", limit="1") == ["jan", "JANET", "Jane Doe"]
    assert await found(order, name="JÖRG") == ["JO\u0308RG 2", "Jörg"]
    assert await found(order, name="doe") == []


@pytest.mark.parametrize("name", ["%", "_", "a%", "'", '"', "\\", "a_b"])
async def test_a_name_is_no_pattern(order: Service, name: str) -> None:
    await place(order, "anna", "ab", f"{name} itself")

    assert await found(order, name=name) == [f"{name} itself"]


async def test_a_rare_state_is_found_among_many_orders(
    order: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order_overview, "MOST_READ", 2)
    placed = await place(order, *"abcdefgh")
    await show(order, placed[0], NotificationState.SENT)
    await show(order, placed[1], NotificationState.FAILED)

    assert await found(order, state="SENT") == ["a"]
    assert await found(order, state="FAILED") == ["b"]
    assert await found(order, state="WAITING", name="c") == ["c"]


async def test_a_page_that_has_looked_at_enough_says_where_to_go_on(
    order: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order_overview, "MOST_READ", 2)
    placed = await place(order, *"abc")
    await show(order, placed[0], NotificationState.SENT)

    page = (await order.http.get("/api/order?state=SENT")).json()

    assert page == {"items": [], "next": str(placed[1])}


async def test_a_range_of_time_holds_exactly_the_orders_of_that_time(
    order: Service,
) -> None:
    await place(order, "a", "b", "c")
    listed = (await order.http.get("/api/order")).json()["items"]
    times = {each["customerName"]: each["createdAt"] for each in listed}
    second = datetime.fromisoformat(times["b"])
    later = (second + timedelta(milliseconds=1)).isoformat()

    exactly = await found(order, createdFrom=times["b"], createdBefore=later)

    assert exactly == [name for name in "cba" if times[name] == times["b"]]
    assert await found(order, createdBefore=times["a"]) == []
    assert await found(order, createdFrom=times["a"]) == ["c", "b", "a"]


@pytest.mark.parametrize(
    ("first", "last"),
    [
        ("1999-01-01T00:00:00Z", "3500-01-01T00:00:00Z"),
        ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"),
    ],
)
async def test_any_time_can_be_searched_by(
    order: Service, first: str, last: str
) -> None:
    await order.http.post("/api/order", json={"customerName": "a"})

    assert await found(order, createdFrom=first, createdBefore=last) == ["a"]
    assert await found(order, createdBefore=first) == []
    assert await found(order, createdFrom=last) == []


@pytest.mark.parametrize(
    "query",
    [
        {"createdFrom": "2026-01-01T00:00:00"},
        {"createdFrom": "1767225600"},
        {"name": " "},
        {"name": "a" * 201},
    ],
)
async def test_a_search_that_means_nothing_is_refused(
    order: Service, query: dict[str, str]
) -> None:
    answer = await order.http.get("/api/order", params=query)

    assert answer.status_code == 422
