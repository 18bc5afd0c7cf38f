"""What can be asked about orders."""

from uuid import UUID, uuid4

import pytest

from services.order.commands.create_order import CreateOrder, create_order
from services.order.model import Notification, NotificationState, record_notification
from services.order.views.order_overview import (
    OrderNotFound,
    OrderQuery,
    find_order_overview,
    list_order_overviews,
)
from tests.support.services import Service

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def place(order: Service, *names: str) -> list[UUID]:
    """Place an order for each name, one after the other."""
    return [await _place(order, CreateOrder(customerName=name)) for name in names]


async def _place(order: Service, command: CreateOrder) -> UUID:
    created = await order.database.write(
        lambda session: create_order(command, session, TRACE)
    )
    return UUID(created.location.removeprefix("order/"))


async def show(order: Service, order_id: UUID, state: NotificationState) -> None:
    """Store that an order's notification is in this state."""
    await order.database.write(
        lambda session: record_notification(session, order_id, 1, Notification(state))
    )


async def listed(order: Service, query: str) -> list[str]:
    """Return the ids of the orders that a query lists."""
    answer = await order.http.get(f"/api/order?{query}")
    return [each["orderId"] for each in answer.json()["items"]]


async def test_an_order_is_shown_as_it_was_placed(order: Service) -> None:
    (order_id,) = await place(order, "Jane Doe")

    shown = (await order.http.get(f"/api/order/{order_id}")).json()

    assert shown["orderId"] == str(order_id)
    assert shown["customerName"] == "Jane Doe"
    assert shown["createdAt"].endswith("Z")
    assert len(shown["createdAt"]) == len("2026-01-31T08:15:30.123Z")


async def test_the_queries_are_plain_functions_of_a_session(order: Service) -> None:
    (order_id,) = await place(order, "Jane Doe")
    read = order.database.read

    one = await read(lambda session: find_order_overview(order_id, session))
    page = await read(lambda session: list_order_overviews(OrderQuery(), session))
    with pytest.raises(OrderNotFound):
        await read(lambda session: find_order_overview(uuid4(), session))

    assert one.customer_name == "Jane Doe"
    assert page.items == [one]


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


async def test_the_list_can_be_of_one_state_of_the_notification(order: Service) -> None:
    ann, ben, cem = await place(order, "Ann", "Ben", "Cem")
    await show(order, ann, NotificationState.SENT)
    await show(order, ben, NotificationState.HELD)

    assert await listed(order, "state=SENT") == [str(ann)]
    assert await listed(order, "state=HELD") == [str(ben)]
    assert await listed(order, "state=WAITING") == [str(cem)]
    assert await listed(order, "state=UNKNOWN") == []
    assert len(await listed(order, "")) == 3


async def test_the_pages_of_one_state_have_only_that_state(order: Service) -> None:
    placed = await place(order, "Ann", "Ben", "Cem", "Dan")
    for each in placed[::2]:
        await show(order, each, NotificationState.FAILED)

    first = (await order.http.get("/api/order?state=FAILED&limit=1")).json()
    rest = await listed(order, f"state=FAILED&cursor={first['next']}")

    seen = [each["orderId"] for each in first["items"]] + rest
    assert seen == [str(placed[2]), str(placed[0])]


@pytest.mark.parametrize("query", ["status=SENT", "state=sent", "Limit=2", "page=2"])
async def test_a_query_that_nobody_knows_is_refused(order: Service, query: str) -> None:
    answer = await order.http.get(f"/api/order?{query}")

    assert answer.status_code == 422
    assert answer.json()["type"] == "urn:problem-type:invalid-request"
    assert answer.json()["errors"][0]["field"] == query.partition("=")[0]


async def test_the_orders_of_all_customers_are_listed_for_a_rebuild_alone(
    order: Service,
) -> None:
    (placed,) = await place(order, "Jane Doe")
    pair = {"authorization": f"Bearer {order.parts.secret}"}

    refused = await order.http.get("/internal/order")
    listed = await order.http.get("/internal/order", headers=pair)

    assert refused.status_code == 401
    assert [each["orderId"] for each in listed.json()["items"]] == [str(placed)]
