"""Creating orders: what is stored, what leaves, and what a failing commit leaves behind."""

from uuid import UUID

from sqlalchemy import func, select

from chassis.outbox.outbox import outbox
from contracts.order_created import OrderCreated
from services.order.commands.create_order import CreateOrder, create_order
from services.order.model import Order
from tests.support.database import break_commits, refuses
from tests.support.eventually import eventually
from tests.support.services import Service
from tests.support.simulated_dapr import SimulatedDapr

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def count(service: Service, table: object) -> int:
    """Count a table's rows."""
    async with service.database.read() as session:
        return await session.scalar(select(func.count()).select_from(table)) or 0  # type: ignore[arg-type]


async def test_an_order_is_answered_with_its_id_and_its_address(order: Service) -> None:
    answer = await order.http.post("/api/order", json={"customerName": "Jane Doe"})

    assert answer.status_code == 201
    order_id = UUID(answer.json()["orderId"])
    assert answer.json() == {"orderId": str(order_id)}
    assert answer.headers["location"] == f"/api/order/{order_id}"


async def test_the_command_is_a_plain_function_of_a_session(order: Service) -> None:
    async with order.database.write() as session:
        created = await create_order(
            CreateOrder(customerName="Jane Doe"), session, TRACE
        )

    async with order.database.read() as session:
        stored = await session.get_one(Order, created.id)
        event = (await session.execute(select(outbox))).one()
    assert stored.customer_name == "Jane Doe"
    assert event.topic == "OrderCreated"


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
    assert event | {"id": "", "time": ""} == {
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


async def test_an_order_whose_event_cannot_be_stored_is_not_placed(
    order: Service,
) -> None:
    await refuses(order.database, "INSERT", "outbox")

    answer = await order.http.post("/api/order", json={"customerName": "Jane Doe"})

    assert answer.status_code == 500
    assert await count(order, Order) == 0
