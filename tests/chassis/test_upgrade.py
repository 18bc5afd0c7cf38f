"""An upgrade of a database that has served: nothing is lost, and what comes after knows what was before."""

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TypeAlias
from uuid import UUID, uuid4

import pytest
from alembic import command
from sqlalchemy import select

from chassis import migration
from chassis.cloud_event import Cause, CloudEvent, digest_of, envelop
from chassis.database import Database, sqlite_file
from chassis.dead_letter import dead_letter
from chassis.inbox import inbox
from chassis.outbox import outbox
from contracts.order_created import OrderCreated
from services.notification.model import Notification
from services.order.model import Order
from tests.support.database import migrated
from tests.support.eventually import eventually
from tests.support.services import notification_service, order_service
from tests.support.simulated_dapr import SimulatedDapr

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
THEN = "2026-01-31 08:15:30.123000"
STATES = ("READY", "SENDING", "SENT")
ORDERS = {state: uuid4() for state in STATES}
CREATED_AT = "2026-01-31T08:15:30.123Z"
REACTION = "notify_customer_on_order_created"
AN_ORDER = "INSERT INTO orders VALUES (?, ?, ?)"
AN_EVENT = "INSERT INTO outbox (event_id, topic, event, state, attempt, refusals) VALUES (?, ?, ?, ?, 0, 0)"
A_NOTIFICATION = (
    "INSERT INTO notification VALUES (?, ?, 'Jane', ?, 'console', ?, 1, NULL, ?)"
)
A_LETTER = "INSERT INTO dead_letter VALUES (?, ?, ?, ?, ?)"

Row: TypeAlias = tuple[str, tuple[object, ...]]


def of_the_first_version(service: str, folder: Path, rows: list[Row]) -> None:
    """Make a database as the first version left it."""
    url = f"sqlite+aiosqlite:///{folder}/{service}.db"
    command.upgrade(migration.configuration(service, url), "0001")
    with closing(sqlite3.connect(sqlite_file(url))) as connection, connection:
        for statement, values in rows:
            connection.execute(statement, values)


def event_of(order: UUID) -> str:
    """Make the event that told of an order."""
    event = OrderCreated.model_validate(
        {"orderId": order, "customerName": "Jane", "createdAt": CREATED_AT}
    )
    cause = Cause(TRACE)
    return envelop(event, service="order", subject=order, cause=cause).model_dump_json()


def orders() -> list[Row]:
    """Give what the first version of the order service had."""
    rows: list[Row] = []
    states = ("PUBLISHED", "PENDING", "PARKED")
    for order, state in zip(ORDERS.values(), states, strict=True):
        event = event_of(order)
        rows += [
            (AN_ORDER, (order.hex, "Jane", THEN)),
            (AN_EVENT, (json.loads(event)["id"], "OrderCreated", event, state)),
        ]
    return rows


def notifications() -> list[Row]:
    """Give what the first version of the notification service had."""
    return [
        *(
            (A_NOTIFICATION, (uuid4().hex, order.hex, THEN, state, at))
            for state, order in ORDERS.items()
            for at in [THEN if state == "SENT" else None]
        ),
        ("INSERT INTO inbox VALUES (?, ?, ?, ?)", (REACTION, "an event", b"", THEN)),
        (A_LETTER, (7, REACTION, "no JSON", b"{", THEN)),
    ]


async def opened(service: str, folder: Path, rows: list[Row]) -> Database:
    """Make a database of the first version, and upgrade it."""
    await asyncio.to_thread(of_the_first_version, service, folder, rows)
    return migrated(service, folder)


async def test_orders_and_their_events_are_there_and_wait_for_news(
    tmp_path: Path,
) -> None:
    database = await opened("order", tmp_path, orders())

    async with database.read() as session:
        found = (await session.scalars(select(Order))).all()
        events = (await session.execute(select(outbox))).all()

    assert {each.id for each in found} == set(ORDERS.values())
    assert {each.notification_state for each in found} == {"WAITING"}
    assert {(each.notification_version, each.customer_email) for each in found} == {
        (0, None)
    }
    assert [each.position for each in events] == [1, 2, 3]
    assert [each.state for each in events] == ["PUBLISHED", "PENDING", "PARKED"]
    assert {each.transaction for each in events} == {0}
    assert [each.digest for each in events] == [
        digest_of(CloudEvent.model_validate_json(each.event)) for each in events
    ]
    await database.close()


async def test_notifications_and_what_was_taken_in_are_there(tmp_path: Path) -> None:
    database = await opened("notification", tmp_path, notifications())

    async with database.read() as session:
        found = (await session.scalars(select(Notification))).all()
        taken = (await session.execute(select(inbox.c.event_id))).all()
        (letter,) = (await session.execute(select(dead_letter))).all()

    assert {each.state: each.order_id for each in found} == ORDERS
    assert {each.state: each.version for each in found} == {
        "READY": 0,
        "SENDING": 0,
        "SENT": 1,
    }
    assert {(each.customer_email, each.due_at, each.attempt) for each in found} == {
        (None, None, 1)
    }
    assert taken == [("an event",)]
    assert (letter.id, letter.state, letter.attempts, letter.body) == (
        7,
        "OPEN",
        1,
        b"{",
    )
    await database.close()


@pytest.mark.parametrize("state", STATES)
async def test_after_an_upgrade_each_order_shows_that_its_customer_was_told(
    tmp_path: Path, dapr: SimulatedDapr, capfd: pytest.CaptureFixture[str], state: str
) -> None:
    for service, rows in (("order", orders()), ("notification", notifications())):
        await (await opened(service, tmp_path, rows)).close()

    async with (
        notification_service(tmp_path, dapr),
        order_service(tmp_path, dapr) as order,
    ):

        async def shown() -> dict[str, str] | None:
            answer = await order.http.get(f"/api/order/{ORDERS[state]}")
            heard = answer.json()["notification"]
            return heard if heard["state"] == "SENT" else None

        heard = await eventually(shown, "the order shows that its customer was told")

    assert (heard["at"] == CREATED_AT) is (state == "SENT")
    lines = [
        line
        for line in capfd.readouterr().out.splitlines()
        if str(ORDERS[state]) in line
    ]
    assert len(lines) == (0 if state == "SENT" else 1)
