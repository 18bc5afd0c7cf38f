"""Erasure: a customer is forgotten by both services, whatever is under way, and is never mailed again."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import MetaData, select

from chassis.database import Database
from chassis.inbox.dead_letter import DeadLetter, dead_letter, store
from chassis.inbox.inbox import claim
from chassis.inbox.reaction import Arrival
from chassis.outbox.outbox import outbox
from services.notification.model import Notification
from services.notification.rebuild import rebuild
from services.order.commands.erase_customer import MOST
from services.order.model import Erasure
from tests.notification.rebuilding import wiped
from tests.support.delivering import deliver, rows
from tests.support.eventually import eventually
from tests.support.services import Service, notification_service
from tests.support.simulated_dapr import SimulatedDapr

NAME, EMAIL = "Quirina Zweifel", "quirina.zweifel@example.org"
BEN = ("Ben Anders", "ben@example.org")
WHO = {"by": "Ada Lovelace", "reason": "Request 4711"}
NOTIFY = "notify_customer_on_order_created"


async def place(order: Service, name: str = NAME, email: str | None = EMAIL) -> UUID:
    """Place an order."""
    body = {"customerName": name, "customerEmail": email}
    answer = await order.http.post("/api/order", json=body)
    return UUID(answer.json()["orderId"])


async def erase(order: Service, email: str = EMAIL, **more: str) -> dict[str, Any]:
    """Erase a customer."""
    body = {"customerEmail": email, **WHO, **more}
    answer = await order.http.post("/api/customer/erase", json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def everything(database: Database) -> str:
    """Return the text of every row of every table."""

    def read(session: Any) -> str:  # noqa: ANN401 - a session
        every = MetaData()
        every.reflect(session.connection())
        tables = every.tables.values()
        return repr([[*map(tuple, session.execute(select(each)))] for each in tables])

    return (await database.read(read)).casefold()


def names_nobody(stored: str) -> bool:
    """Return whether neither the name nor the address is in this text, as text or as bytes in hexadecimal."""
    return not any(
        form in stored
        for each in ("quirina", "zweifel")
        for form in (each, each.encode().hex())
    )


async def is_forgotten(*services: Service) -> None:
    """Wait until no table of these services has the customer."""

    async def gone() -> bool:
        return all([names_nobody(await everything(each.database)) for each in services])

    await eventually(gone, "no table has the customer")


async def notifications(service: Service) -> list[Any]:
    """Return state, name, address and reason of each notification."""
    columns = ("state", "customer_name", "customer_email", "reason")
    return await rows(service, *(getattr(Notification, each) for each in columns))


async def shows(order: Service, order_id: UUID, state: str) -> None:
    """Wait until an order shows this state of its notification."""

    async def shown() -> bool:
        answer = await order.http.get(f"/api/order/{order_id}")
        return bool(answer.json()["notification"]["state"] == state)

    await eventually(shown, f"the order shows {state}")


def mailed(dapr: SimulatedDapr) -> list[str]:
    """Return the recipients of all mails."""
    return [to for each in dapr.bindings["email"].mails for to in each.recipients]


async def test_an_erased_customer_is_in_no_table_of_either_service_and_others_are(
    order: Service, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    async with notification_service(tmp_path, dapr) as notification:
        theirs = [await place(order), await place(order, email=EMAIL.upper())]
        others = await place(order, *BEN)
        await dapr.deliver_to(notification.app)
        for each in (*theirs, others):
            await shows(order, each, "SENT")

        erased = await erase(order)
        await is_forgotten(order, notification)

        assert (erased["orderIds"], erased["more"]) == ([*map(str, theirs)], False)
        stored = await everything(notification.database)
        assert BEN[0].casefold() in stored
        assert BEN[1] in stored
    one = (await order.http.get(f"/api/order/{theirs[0]}")).json()
    assert (one["customerName"], one["customerEmail"]) == ("(erased)", None)
    assert one["erasedAt"] == erased["erasedAt"]
    assert one["notification"]["state"] == "SENT"
    assert (await order.http.get(f"/api/order/{others}")).json()["erasedAt"] is None


async def test_an_erasure_says_who_when_and_why_and_not_whom(order: Service) -> None:
    await place(order)

    erased = await erase(order)
    again = await erase(order)

    assert again["orderIds"] == []
    columns = (Erasure.by, Erasure.reason, Erasure.orders)
    assert await rows(order, *columns) == [(*WHO.values(), n) for n in (1, 0)]
    assert len(erased["orderIds"]) == 1
    assert names_nobody(await everything(order.database))


async def test_what_waits_to_be_sent_is_never_sent(
    order: Service, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    mailbox = dapr.bindings.pop("email")
    async with notification_service(tmp_path, dapr) as notification:
        order_id = await place(order)
        await dapr.deliver_to(notification.app)
        assert [each.state for each in await notifications(notification)] == ["READY"]

        await erase(order)
        await shows(order, order_id, "FAILED")
        dapr.bindings["email"] = mailbox
        await place(order, *BEN)
        await dapr.deliver_to(notification.app)

        await eventually(lambda: is_mailed(dapr, BEN[1]), "the next one is mailed")
        assert EMAIL not in mailed(dapr)
        why = {"by": "Eve", "reason": "again"}
        url = f"/api/notification/{order_id}/release"
        answer = await notification.http.post(url, json=why)
        assert answer.status_code == 409
        assert "was erased" in answer.json()["detail"]
        await is_forgotten(order, notification)


async def is_mailed(dapr: SimulatedDapr, to: str) -> bool:
    """Return whether somebody got a mail."""
    return to in mailed(dapr)


async def test_an_event_that_is_delivered_after_the_erasure_brings_nobody_back(
    order: Service, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    order_id = await place(order)
    await eventually(lambda: is_published(dapr), "the broker has the event")
    await erase(order)
    async with notification_service(tmp_path, dapr) as notification:
        await shows(order, order_id, "FAILED")
        assert EMAIL in dapr.queue[0].body.decode()

        assert await dapr.deliver_to(notification.app) == ["SUCCESS"]

        await is_forgotten(order, notification)
        states = [
            (each.state, each.customer_name)
            for each in await notifications(notification)
        ]
        assert states == [("DISCARDED", "(erased)")]
        assert mailed(dapr) == []


async def is_published(dapr: SimulatedDapr) -> bool:
    """Return whether the broker has an event."""
    return bool(dapr.queue)


async def stored_event(order: Service) -> dict[str, Any]:
    """Return the one OrderCreated that the outbox has."""
    found = await rows(order, outbox.c.topic, outbox.c.event)
    (event,) = [each.event for each in found if each.topic == "OrderCreated"]
    return dict(json.loads(event))


async def test_dead_letters_are_emptied_and_bring_nobody_back_when_they_are_replayed(
    order: Service, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    await place(order)
    event = await stored_event(order)
    async with notification_service(tmp_path, dapr) as notification:
        body = json.dumps(event).encode()
        letter = DeadLetter(NOTIFY, body, "it failed", event_id=event["id"])

        def fails(session: Any) -> None:  # noqa: ANN401 - a session
            claim(session, NOTIFY, [event["id"]], Arrival.PUSHED)
            store(session, letter)

        await notification.database.write(fails)
        assert await deliver(notification, {**event, "signature": ""}) == "SUCCESS"

        await erase(order)
        await is_forgotten(order, notification)

        columns = (dead_letter.c.id, dead_letter.c.state, dead_letter.c.authentic)
        letters = await rows(notification, *columns)
        assert [each.state for each in letters] == ["DISCARDED", "DISCARDED"]
        for each in letters:
            url, why = f"/api/dead-letter/{each.id}", {"by": "Eve", "reason": "again"}
            await notification.http.post(f"{url}/restore", json=why)
            answer = await notification.http.post(f"{url}/replay", json={"by": "Eve"})
            assert answer.status_code == 409, answer.text
        assert mailed(dapr) == []
        await is_forgotten(notification)


async def test_a_new_consumer_and_a_rebuild_find_an_authentic_event_that_names_nobody(
    order: Service, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    theirs, others = await place(order), await place(order, *BEN)
    await erase(order)
    dapr.queue.clear()

    async with wiped(tmp_path, dapr) as parts:
        await rebuild(parts)
        columns = select(
            Notification.order_id, Notification.state, Notification.erased_at
        )
        found = await parts.database.read(
            lambda session: session.execute(columns).all()
        )
        states = {row.order_id: (row.state, row.erased_at is None) for row in found}
        assert states == {theirs: ("DISCARDED", False), others: ("HELD", True)}
        assert names_nobody(await everything(parts.database))
    async with notification_service(tmp_path, dapr) as notification:
        await shows(order, others, "SENT")
        await shows(order, theirs, "FAILED")
        assert names_nobody(await everything(notification.database))
        assert await rows(notification, dead_letter.c.id) == []
    assert mailed(dapr) == [BEN[1]]


async def test_a_customer_of_many_orders_is_erased_in_short_transactions(
    order: Service,
) -> None:
    for _ in range(MOST + 1):
        await place(order)

    first, second = [await erase(order) for _ in range(2)]

    assert [len(each["orderIds"]) for each in (first, second)] == [MOST, 1]
    assert (first["more"], second["more"]) == (True, False)
    assert names_nobody(await everything(order.database))


async def test_an_erasure_that_is_sent_again_with_its_key_is_carried_out_once(
    order: Service,
) -> None:
    await place(order)
    body, key = {"customerEmail": EMAIL, **WHO}, {"Idempotency-Key": "a-key-of-one"}

    answers = [
        await order.http.post("/api/customer/erase", json=body, headers=key)
        for _ in range(2)
    ]

    assert answers[0].json() == answers[1].json()
    assert await rows(order, Erasure.orders) == [(1,)]


async def test_an_order_without_an_address_is_erased_by_its_id(order: Service) -> None:
    order_id, other = await place(order, email=None), await place(order, *BEN)

    body = {"orderId": str(order_id), **WHO}
    answer = await order.http.post("/api/customer/erase", json=body)

    assert answer.json()["orderIds"] == [str(order_id)]
    assert names_nobody(await everything(order.database))
    assert (await order.http.get(f"/api/order/{other}")).json()["erasedAt"] is None


@pytest.mark.parametrize("path", ["erase", "export"])
@pytest.mark.parametrize(
    "whom", [{}, {"customerEmail": EMAIL, "orderId": str(UUID(int=7))}], ids=["0", "2"]
)
async def test_a_customer_is_named_in_one_way(
    order: Service, path: str, whom: dict[str, str]
) -> None:
    body = {**whom, **(WHO if path == "erase" else {})}

    answer = await order.http.post(f"/api/customer/{path}", json=body)

    assert answer.status_code == 422
    assert "either customerEmail or orderId" in answer.json()["detail"]


async def test_an_export_has_all_that_both_services_keep_and_nothing_of_others(
    order: Service, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    async with notification_service(tmp_path, dapr) as notification:
        order_id, _ = await place(order), await place(order, *BEN)
        await dapr.deliver_to(notification.app)
        await shows(order, order_id, "SENT")
        event = {"id": "x", "about": str(order_id), "name": NAME}
        assert await deliver(notification, event) == "SUCCESS"

        page = await order.http.post(
            "/api/customer/export", json={"customerEmail": EMAIL}
        )
        (one,) = page.json()["items"]
        assert one["order"]["customerName"] == NAME
        assert one["event"]["data"]["customerEmail"] == EMAIL
        ids = {"orderIds": [str(order_id)], "eventIds": [one["event"]["id"]]}
        there = await notification.http.post("/api/customer/export", json=ids)
        (told,) = there.json()["notifications"]
        (letter,) = there.json()["deadLetters"]

    assert page.json()["next"] is None
    assert (told["customerName"], told["customerEmail"]) == (NAME, EMAIL)
    assert NAME in letter["body"]
    assert BEN[0] not in page.text + there.text
