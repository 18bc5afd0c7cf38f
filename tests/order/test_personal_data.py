"""A customer's name and address are in no line of a log, in no trace, no metric and no problem document."""

import json
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prometheus_client import REGISTRY, generate_latest
from pydantic import BaseModel

from chassis.inbox import Inbox, Reaction
from chassis.inbox.dead_letter import dead_letter
from chassis.runtime.logs import Json, Text
from contracts.order_created import OrderCreated
from tests.support.collector import Collector, collecting
from tests.support.database import execute, followed
from tests.support.delivering import deliver, received, rows
from tests.support.eventually import eventually
from tests.support.mail_server import Act
from tests.support.services import Service, notification_service, order_service
from tests.support.simulated_dapr import SimulatedDapr

MARKS = ("quirina", "zweifel")
NAME, EMAIL = "Quirina Zweifel", "quirina@zweifel.example"
CUSTOMER = {"customerName": NAME, "customerEmail": EMAIL}
TRACED = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
OURS = ("chassis", "services", "contracts")


@dataclass
class Shop:
    """Both services, at DEBUG and traced, and what they show of themselves."""

    order: Service
    notification: Service
    dapr: SimulatedDapr
    collector: Collector
    problems: list[str] = field(default_factory=list)

    async def place(self, status: int = 201, **changes: object) -> UUID | None:
        """Place an order, which is answered so; a problem is kept."""
        answer = await self.order.http.post(
            "/api/order", json={**CUSTOMER, **changes}, headers=TRACED
        )
        assert answer.status_code == status, answer.text
        if status != 201:
            self.problems.append(answer.text)
            return None
        order_id = answer.json()["orderId"]

        async def published() -> bool:
            return order_id in {each["subject"] for each in self.dapr.published}

        await eventually(published, "the broker has the event")
        await self.dapr.deliver_to(self.notification.app)
        return UUID(order_id)

    async def becomes(self, order_id: UUID | None, state: str) -> str:
        """Wait until an order shows this state of its notification; return why."""

        async def shown() -> dict[str, Any] | None:
            answer = await self.order.http.get(f"/api/order/{order_id}")
            notification = dict(answer.json()["notification"])
            return notification if notification["state"] == state else None

        return str((await eventually(shown, f"it is {state}"))["reason"])

    async def reasons(self) -> list[str]:
        """Return the reasons of the notification service's dead letters."""
        return [
            each.reason for each in await rows(self.notification, dead_letter.c.reason)
        ]


@pytest.fixture
def debugged(caplog: pytest.LogCaptureFixture) -> None:
    """Log everything, as LOG_LEVEL=DEBUG does."""
    for name in OURS:
        caplog.set_level(logging.DEBUG, name)


@pytest.fixture
async def shop(
    each_database: None, debugged: None, tmp_path: Path, dapr: SimulatedDapr
) -> AsyncIterator[Shop]:
    """Run both services."""
    with collecting() as collector:
        traced = {"otel_exporter_otlp_endpoint": collector.endpoint}
        async with (
            order_service(tmp_path, dapr, **traced) as order,
            notification_service(tmp_path, dapr, **traced) as notification,
        ):
            yield Shop(order, notification, dapr, collector)


def is_silent(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    """Check all that was said of itself so far."""
    lines = [
        form.format(each) for each in caplog.records for form in (Text(), Json("order"))
    ]
    shown = {
        "log": "\n".join(lines),
        "traces": repr(shop.collector.spans),
        "metrics": generate_latest(REGISTRY).decode(),
        "problems": "\n".join(shop.problems),
    }
    found = [
        (where, text[max(0, text.casefold().find(mark) - 200) :][:300])
        for where, text in shown.items()
        for mark in MARKS
        if mark in text.casefold()
    ]
    assert found == []


async def test_an_order_that_is_mailed(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    order_id = await shop.place()
    await shop.becomes(order_id, "SENT")
    await eventually(lambda: has_spans(shop, 4), "its spans are there")

    is_silent(shop, caplog)


async def has_spans(shop: Shop, most: int) -> bool:
    """Return whether so many spans came."""
    return len(shop.collector.spans) >= most


async def test_a_mail_whose_server_names_whom_it_refuses(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    mailbox = shop.dapr.bindings["email"]
    mailbox.acts["RCPT"] = Act(reply=f"550 5.1.1 <{EMAIL}>: no such user ({EMAIL})")

    why = await shop.becomes(await shop.place(), "FAILED")

    assert "no such user" in why
    assert not any(mark in why.casefold() for mark in MARKS)
    mailbox.acts["RCPT"] = Act(reply=f"454 not now, {EMAIL}")
    await shop.place()
    await eventually(lambda: says(caplog, "not now"), "the channel is in trouble")
    is_silent(shop, caplog)


async def says(caplog: pytest.LogCaptureFixture, text: str) -> bool:
    """Return whether the log has this text."""
    return any(text in each.getMessage() for each in caplog.records)


async def test_an_event_that_the_database_refuses(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    database = shop.notification.database
    if database.is_shared:  # it says the whole row
        check = "ALTER TABLE notification ADD CONSTRAINT nobody CHECK (attempt < 0)"
        await execute(database, check)
    else:
        await execute(
            database,
            "CREATE TRIGGER nobody BEFORE INSERT ON notification "
            "BEGIN SELECT RAISE(ABORT, 'nobody'); END",
        )

    await shop.place()
    await followed(database)

    (reason,) = await shop.reasons()
    assert "nobody" in reason
    assert not any(mark in reason.casefold() for mark in MARKS)
    is_silent(shop, caplog)


async def test_what_is_not_authentic_or_no_event(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    order_id = await shop.place()
    await shop.becomes(order_id, "SENT")
    for body in (
        json.dumps({**CUSTOMER, "id": "x"}).encode(),
        json.dumps({"data": CUSTOMER, "type": 7}).encode(),
        f"Dear {NAME} <{EMAIL}>".encode(),
        json.dumps(CUSTOMER).encode()[:-1],
    ):
        assert await deliver(shop.notification, body) == "SUCCESS"
    await followed(shop.notification.database)

    assert len(await shop.reasons()) == 4
    is_silent(shop, caplog)


async def test_a_reaction_with_a_bug(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    class Stranger(BaseModel):
        customer_name: int

    def fail(event: OrderCreated, *_: object) -> None:
        Stranger.model_validate(event, from_attributes=True)

    await shop.place()
    (event,) = [each for each in shop.dapr.published if each["type"] == "OrderCreated"]
    inbox = Inbox(shop.notification.database, shop.notification.parts.keys)
    for _ in range(11):
        await inbox.handle(Reaction(OrderCreated, fail), received(event))
    await followed(shop.notification.database)

    assert await shop.reasons() == ["ValidationError: Stranger: customer_name"]
    is_silent(shop, caplog)


@pytest.mark.parametrize(
    "changes",
    [
        {"customerEmail": "Quirina Zweifel"},
        {"customerEmail": "quirina@@zweifel.example"},
        {"customerEmail": "quirina zweifel@zweifel.example"},
        {"customerEmail": "quirina@zweifel"},
        {"customerEmail": "quirina@-zweifel.example"},
        {"customerEmail": "quirina" * 20 + "@zweifel.example"},
        {"customerEmail": "quirina@" + "zweifel" * 20 + ".example"},
        {"customerEmail": ["quirina@zweifel.example"]},
        {"customerName": "Quirina\nZweifel"},
        {"customerName": ["Quirina", "Zweifel"]},
        {"customerName": "Quirina Zweifel" * 20},
        {"more": "Quirina Zweifel"},
    ],
    ids=[
        *(
            "no address",
            "two signs",
            "a space",
            "no domain",
            "a hyphen",
            "long",
            "wide",
        ),
        *("a list", "two lines", "a list of names", "long name", "another field"),
    ],
)
async def test_an_order_that_is_not_valid(
    shop: Shop, caplog: pytest.LogCaptureFixture, changes: dict[str, object]
) -> None:
    await shop.place(422, **changes)

    is_silent(shop, caplog)


async def test_an_order_that_the_database_fails(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    await execute(shop.order.database, "ALTER TABLE orders RENAME TO moved")

    await shop.place(500)

    await execute(shop.order.database, "ALTER TABLE moved RENAME TO orders")
    is_silent(shop, caplog)


async def test_an_erasure_and_an_export(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    await shop.place()
    who = {"by": "Ada", "reason": "Request 4711"}
    whom = {"customerEmail": EMAIL}

    for path, body in (("export", whom), ("erase", {**whom, **who})):
        answer = await shop.order.http.post(f"/api/customer/{path}", json=body)
        assert answer.status_code == 200
    answer = await shop.order.http.post("/api/customer/erase", json=whom)
    shop.problems.append(answer.text)

    assert answer.status_code == 422
    is_silent(shop, caplog)
