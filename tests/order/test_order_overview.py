"""What can be asked about orders."""

from uuid import UUID, uuid4

import pytest

from services.order.commands.create_order import CreateOrder, create_order
from services.order.views.order_overview import (
    OrderNotFound,
    find_order_overview,
    list_order_overviews,
)
from tests.support.services import Service

CAUSE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def place(order: Service, *names: str) -> list[UUID]:
    """Place an order for each name, one after the other."""
    ids = []
    for name in names:
        async with order.database.write() as session:
            ids.append(
                (await create_order(CreateOrder(customerName=name), session, CAUSE)).id
            )
    return ids


async def test_an_order_is_shown_as_it_was_placed(order: Service) -> None:
    (order_id,) = await place(order, "Jane Doe")

    shown = (await order.http.get(f"/api/order/{order_id}")).json()

    assert shown["orderId"] == str(order_id)
    assert shown["customerName"] == "Jane Doe"
    assert shown["createdAt"].endswith("Z")
    assert len(shown["createdAt"]) == len("2026-01-31T08:15:30.123Z")


async def test_the_queries_are_plain_functions_of_a_session(order: Service) -> None:
    (order_id,) = await place(order, "Jane Doe")

    async with order.database.read() as session:
        assert (
            await find_order_overview(order_id, session)
        ).customer_name == "Jane Doe"
        assert len((await list_order_overviews(session)).items) == 1
        with pytest.raises(OrderNotFound):
            await find_order_overview(uuid4(), session)


async def test_the_list_goes_through_all_orders_page_by_page(order: Service) -> None:
    placed = await place(order, "Ann", "Ben", "Cem", "Dan", "Eve")

    seen: list[str] = []
    page = (await order.http.get("/api/order?limit=2")).json()
    while page["next"]:
        seen += [item["orderId"] for item in page["items"]]
        page = (
            await order.http.get(f"/api/order?limit=2&cursor={page['next']}")
        ).json()
    seen += [item["orderId"] for item in page["items"]]

    assert sorted(seen) == sorted(str(each) for each in placed)
    assert seen == sorted(seen, reverse=True)


async def test_a_list_of_nothing_is_empty_and_has_no_next_page(order: Service) -> None:
    assert (await order.http.get("/api/order")).json() == {"items": [], "next": None}
