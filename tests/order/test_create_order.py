"""Creating orders: what is stored, what is published, and what a failing commit leaves behind."""

import json
from uuid import UUID

import httpx
from sqlalchemy import func, select

from chassis.outbox.outbox import outbox
from contracts.order_created import OrderCreated
from services.order.commands.create_order import Accepted, CreateOrder, create_order
from services.order.model import Order
from tests.support.database import break_commits, mend_commits, refuses
from tests.support.eventually import eventually
from tests.support.services import Service
from tests.support.simulated_dapr import SimulatedDapr

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def count(service: Service, table: object) -> int:
    """Count a table's rows."""
    query = select(func.count()).select_from(table)  # type: ignore[arg-type]
    return await service.database.read(lambda session: session.scalar(query) or 0)


async def test_an_order_is_answered_with_its_id_and_its_address(order: Service) -> None:
    answer = await order.http.post("/api/order", json={"customerName": "Jane Doe"})

    assert answer.status_code == 201
    order_id = UUID(answer.json()["orderId"])
    assert answer.json() == {"orderId": str(order_id)}
    address = answer.request.url.join(answer.headers["location"])
    assert address.path == f"/api/order/{order_id}"
    assert (await order.http.get(address)).json()["orderId"] == str(order_id)


async def test_the_address_can_be_followed_through_dapr(order: Service) -> None:
    answer = await order.http.post("/api/order", json={"customerName": "Jane Doe"})

    invoked = httpx.URL("http://sidecar/v1.0/invoke/order/method/api/order")
    address = invoked.join(answer.headers["location"])
    assert address.path.startswith("/v1.0/invoke/order/method/api/order/")


async def test_the_command_is_a_plain_function_of_a_session(order: Service) -> None:
    command = CreateOrder(customerName="Jane Doe")

    created = await order.database.write(
        lambda session: create_order(command, session, TRACE)
    )

    order_id = UUID(created.location.removeprefix("order/"))
    stored = await order.database.read(lambda session: session.get_one(Order, order_id))
    event = await order.database.read(
        lambda session: session.execute(select(outbox)).one()
    )
    assert created.view == Accepted(order_id=order_id)
    assert stored.customer_name == "Jane Doe"
    assert event.topic == "OrderCreated"


async def test_the_event_says_what_the_order_says(order: Service) -> None:
    """By construction: a field that is in both is never copied by hand."""
    body = {"customerName": "Jane Doe", "customerEmail": "jane@example.org"}
    answer = await order.http.post("/api/order", json=body)

    shown = (
        await order.http.get(answer.request.url.join(answer.headers["location"]))
    ).json()
    event = await order.database.read(
        lambda session: session.scalar(select(outbox.c.event))
    )
    del shown["notification"]
    assert shown.pop("erasedAt") is None
    assert json.loads(event or "{}")["data"] == shown


async def test_the_event_is_a_complete_cloud_event(
    order: Service, dapr: SimulatedDapr
) -> None:
    headers = {"traceparent": TRACE}
    answer = await order.http.post(
        "/api/order", json={"customerName": "Zoë"}, headers=headers
    )
    order_id = answer.json()["orderId"]

    async def published() -> dict[str, object] | None:
        return dapr.published[0] if dapr.published else None

    event = await eventually(published, "the order's event is published")
    shown = (await order.http.get(f"/api/order/{order_id}")).json()
    assert UUID(str(event["id"])).version == 7
    assert str(event["signature"]).startswith("1.")
    assert event | {"id": "", "time": "", "signature": ""} == {
        "specversion": "1.0",
        "id": "",
        "source": "/order",
        "type": "OrderCreated",
        "subject": order_id,
        "time": "",
        "datacontenttype": "application/json",
        "dataschema": "urn:contract:OrderCreated:1",
        "traceid": TRACE,
        "traceparent": TRACE,
        "correlationid": order_id,
        "causationid": TRACE,
        "aggregateversion": 1,
        "signature": "",
        "data": {
            "orderId": order_id,
            "customerName": "Zoë",
            "createdAt": shown["createdAt"],
        },
    }
    assert OrderCreated.model_validate(event["data"]).customer_name == "Zoë"


async def test_a_commit_that_fails_is_answered_as_an_error_and_leaves_nothing(
    order: Service,
) -> None:
    await break_commits(order.database)

    answer = await order.http.post("/api/order", json={"customerName": "Jane Doe"})

    assert answer.status_code == 500
    assert answer.json()["type"] == "urn:problem-type:internal-error"
    assert await count(order, Order) == 0
    assert await count(order, outbox) == 0


async def test_an_order_whose_commit_fails_can_be_placed_again(order: Service) -> None:
    await break_commits(order.database)
    assert (await order.http.post("/api/order", json={"customerName": "Jane"})).is_error
    await mend_commits(order.database)

    answer = await order.http.post("/api/order", json={"customerName": "Jane"})

    assert answer.status_code == 201
    assert await count(order, Order) == 1


async def test_an_order_whose_event_cannot_be_stored_is_not_placed(
    order: Service,
) -> None:
    await refuses(order.database, "INSERT", "outbox")

    answer = await order.http.post("/api/order", json={"customerName": "Jane Doe"})

    assert answer.status_code == 500
    assert await count(order, Order) == 0
