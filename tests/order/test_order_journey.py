"""Where an order is, and if it is stuck: the part in its way by name, why, and what to do."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import func, update
from sqlalchemy.orm import Session
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from chassis.dead_letters.replay import discard
from chassis.inbox import attempts
from chassis.outbox.outbox import State, outbox
from services.notification.views.notification_journey import REACTION
from tests.support.database import execute
from tests.support.eventually import eventually
from tests.support.mail_server import DROP, Act
from tests.support.services import Service, notification_service
from tests.support.simulated_dapr import SimulatedDapr

Json = dict[str, Any]
JANE = "jane@example.org"
STAGES = ["accepted", "published", "received", "sent", "shown"]


async def place(order: Service, email: str | None = None) -> str:
    """Place an order; return its id."""
    body = {"customerName": "Jane Doe", "customerEmail": email}
    answer = await order.http.post("/api/order", json=body)
    return str(answer.json()["orderId"])


async def ask(order: Service, order_id: str) -> Json:
    """Return the journey of an order."""
    answer = await order.http.get(f"/api/order/{order_id}/journey")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def says(order: Service, order_id: str, why: str) -> Json:
    """Wait until the journey's sentence has these words; return the journey."""
    last = ""

    async def found() -> Json | None:
        nonlocal last
        journey = await ask(order, order_id)
        last = journey["why"]
        return journey if why in last else None

    try:
        return await eventually(found, f"it says {why!r}", 20)
    except AssertionError as error:
        raise AssertionError(f"{error}; it says {last!r}") from None


def reached(journey: Json) -> list[str]:
    """Return the stages that an order has reached."""
    return [each["name"] for each in journey["stages"] if each["reached"]]


def published(dapr: SimulatedDapr, number: int = 1) -> Callable[[], Awaitable[bool]]:
    """Return whether so many events wait at the broker."""

    async def is_published() -> bool:
        return len(dapr.queue) == number

    return is_published


async def deliver(dapr: SimulatedDapr, notification: Service) -> None:
    """Deliver one order's event, once it is published."""
    await eventually(published(dapr), "the event is published")
    await dapr.deliver_to(notification.app)


async def set_event(order: Service, **values: object) -> None:
    """Write this into the outbox of the order service."""

    def work(session: Session) -> None:
        session.execute(update(outbox).values(**values))

    await order.database.write(work)


async def test_an_order_that_is_done_has_a_time_for_every_stage_in_order(
    dapr: SimulatedDapr, order: Service, notification: Service
) -> None:
    order_id = await place(order)
    await deliver(dapr, notification)

    found = await says(order, order_id, "It is done: its customer was notified on the")

    assert [each["name"] for each in found["stages"]] == STAGES == reached(found)
    times = [each["at"] for each in found["stages"]]
    assert None not in times
    assert times[0] <= times[2] <= times[3] <= times[4]
    assert (found["done"], found["next"], found["blockedBy"]) == (True, "nothing", None)
    assert found["received"]["arrival"] == "PUSHED"
    assert found["event"]["state"] == "PUBLISHED"


async def test_each_of_many_orders_finds_its_own_event(
    dapr: SimulatedDapr, order: Service
) -> None:
    placed = await asyncio.gather(*(place(order) for _ in range(30)))
    await eventually(published(dapr, 30), "all are published")

    found = [await ask(order, each) for each in placed]

    subjects = {each["id"]: each["subject"] for each in dapr.published}
    assert [subjects[each["event"]["eventId"]] for each in found] == placed


async def test_an_order_that_does_not_exist_is_not_found(order: Service) -> None:
    answer = await order.http.get(f"/api/order/{uuid4()}/journey")

    assert (answer.status_code, answer.json()["title"]) == (
        404,
        "There is no order with this id.",
    )


async def test_an_event_that_the_broker_has_is_on_its_way_and_pulled_where_it_is_lost(
    dapr: SimulatedDapr, order: Service, notification: Service
) -> None:
    order_id = await place(order)
    await eventually(published(dapr), "the event is published")

    found = await says(order, order_id, "It is on its way")
    assert reached(found) == ["accepted", "published"]
    assert found["next"] == "nothing: it goes on by itself"

    found = await says(order, order_id, "It is done")
    assert found["received"]["arrival"] == "PULLED"

    await dapr.deliver_to(notification.app)
    assert (await ask(order, order_id))["received"]["arrival"] == "LATE"


async def test_a_broker_that_accepts_nothing_is_named(
    dapr: SimulatedDapr, order: Service, notification: Service
) -> None:
    dapr.available = False
    order_id = await place(order)

    found = await says(order, order_id, "It waits for the broker, with every event")

    assert found["blockedBy"] == "broker"
    assert found["next"].startswith("see that the broker runs")
    assert reached(found) == ["accepted"]


async def test_an_event_that_the_broker_refuses_says_why_and_when_it_is_tried_again(
    dapr: SimulatedDapr, order: Service, notification: Service
) -> None:
    dapr.available = False
    order_id = await place(order)
    await says(order, order_id, "It waits for the broker")
    await set_event(order, refusals=2, reason="too long for this queue")

    found = await ask(order, order_id)

    assert found["why"].startswith("The broker refuses its event: too long for this")
    assert found["blockedBy"] == "broker"


async def test_an_event_that_is_parked_says_what_to_set(
    dapr: SimulatedDapr, order: Service, notification: Service
) -> None:
    dapr.available = False
    order_id = await place(order)
    await set_event(order, state=State.PARKED, refusals=5, reason="it is cursed")

    found = await ask(order, order_id)

    assert "refused its event 5 times, and it is parked: it is cursed" in found["why"]
    assert "set its `state` in the outbox to PENDING" in found["next"]


@pytest.mark.parametrize("forged", ['"Eve"', "Eve", '"\\ud800"'])
async def test_an_event_that_was_changed_in_the_outbox_is_named_at_once(
    dapr: SimulatedDapr, order: Service, notification: Service, forged: str
) -> None:
    dapr.available = False
    order_id = await place(order)
    changed = func.replace(outbox.c.event, '"Jane Doe"', forged)
    await set_event(order, event=changed)

    found = await ask(order, order_id)

    assert "changed in the database of the order service" in found["why"]
    assert "the reconciler of the notification service waits before" in found["why"]
    assert found["next"].startswith("find out who writes to that database")


async def test_an_event_that_nobody_pulls_either_says_where_to_look(
    dapr: SimulatedDapr, order: Service
) -> None:
    order_id = await place(order)
    await eventually(published(dapr), "the event is published")
    await says(order, order_id, "It waits for the notification sidecar")

    async def is_marked() -> bool:
        return bool((await ask(order, order_id))["event"]["state"] == "PUBLISHED")

    await eventually(is_marked, "it is marked as published")


async def test_a_dead_letter_says_how_to_replay_it_and_later_who_discarded_it(
    dapr: SimulatedDapr, order: Service, notification: Service
) -> None:
    unique = "CREATE UNIQUE INDEX one_each ON notification (customer_name)"
    await execute(notification.database, unique)
    await place(order)
    await deliver(dapr, notification)
    order_id = await place(order)
    await deliver(dapr, notification)

    found = await says(order, order_id, "The notification service cannot handle its")

    letter = found["received"]["deadLetter"]["id"]
    replay = f"chassis.dead_letters notification replay {letter} --by NAME"
    assert found["next"] == f"python -m {replay}"
    await notification.database.write(
        lambda session: discard(session, letter, by="jane", because="a test")
    )
    found = await ask(order, order_id)
    assert "An operator discarded its event" in found["why"]
    assert found["next"].startswith("nothing")


async def test_a_reaction_that_fails_says_how_often(
    dapr: SimulatedDapr, order: Service, notification: Service
) -> None:
    order_id = await place(order)
    await eventually(published(dapr), "the event is published")
    event_id = (await ask(order, order_id))["event"]["eventId"]
    await notification.database.write(
        lambda session: attempts.count(session, REACTION, event_id)
    )

    found = await ask(order, order_id)

    assert "failed on its event 1 times" in found["why"]
    assert "log of the notification service" in found["next"]


async def test_a_mail_server_that_is_away_is_the_mail_channel_and_it_is_retried(
    dapr: SimulatedDapr, order: Service, notification: Service
) -> None:
    dapr.away.add("email")
    order_id = await place(order, JANE)
    await deliver(dapr, notification)

    found = await says(order, order_id, "It waits for the mail channel: ")

    assert "connection refused; it is sent again at 20" in found["why"]
    assert found["next"] == "nothing: it is retried by itself"
    assert (found["blockedBy"], reached(found)) == ("mail channel", STAGES[:3])


async def test_a_mail_that_is_refused_for_good_says_how_to_release_it(
    dapr: SimulatedDapr, order: Service, notification: Service
) -> None:
    dapr.bindings["email"].acts["RCPT"] = Act("550 no such user")
    order_id = await place(order, JANE)
    await deliver(dapr, notification)

    found = await says(order, order_id, "Its notification was refused for good: ")

    assert "no such user" in found["why"]
    assert (
        f"services.notification.release --by NAME --reason WHY {order_id}"
        in (found["next"])
    )


async def test_a_mail_whose_outcome_nobody_knows_is_sent_again(
    dapr: SimulatedDapr, order: Service, notification: Service
) -> None:
    dapr.bindings["email"].acts["DOT"] = DROP
    order_id = await place(order, JANE)
    await deliver(dapr, notification)

    found = await says(order, order_id, "Nobody knows whether its mail arrived: ")

    assert "; it is sent again at 20" in found["why"]
    assert found["notification"]["state"] == "UNKNOWN"


async def test_a_mail_that_is_held_waits_for_an_operator_also_where_its_service_is_down(
    each_database: None, tmp_path: Path, dapr: SimulatedDapr, order: Service
) -> None:
    dapr.bindings["email"].acts["DOT"] = DROP
    async with notification_service(tmp_path, dapr, unknown_mail="hold") as service:
        order_id = await place(order, JANE)
        await deliver(dapr, service)
        await says(order, order_id, "Its notification is held for an operator: ")

        async def shown() -> bool:
            answer = await order.http.get(f"/api/order/{order_id}")
            return bool(answer.json()["notification"]["state"] == "HELD")

        await eventually(shown, "the order shows it")

    found = await ask(order, order_id)

    assert found["why"].startswith("Its notification is held for an operator: ")
    assert (found["notification"], reached(found)) == (None, STAGES[:3])


async def test_a_notification_app_that_is_down_is_named(
    dapr: SimulatedDapr, order: Service, notification: Service
) -> None:
    dapr.away.add("notification")
    order_id = await place(order)

    found = await says(
        order, order_id, "It waits for the notification app: its sidecar"
    )

    assert found["blockedBy"] == "notification app"
    assert found["next"].startswith("start the notification app again")


async def test_a_notification_sidecar_that_is_gone_is_named(
    dapr: SimulatedDapr, order: Service
) -> None:
    found = await ask(order, await place(order))

    assert found["blockedBy"] == "notification sidecar"
    assert "nobody has heard of it" in found["why"]


async def test_a_notification_app_that_hangs_is_named_within_seconds(
    dapr: SimulatedDapr, order: Service, hanging: None
) -> None:
    order_id = await place(order)

    found = await asyncio.wait_for(ask(order, order_id), 30)

    assert found["blockedBy"] == "notification app or its sidecar"
    assert "nothing answers within four seconds" in found["why"]


@pytest.fixture
async def hanging(dapr: SimulatedDapr) -> AsyncIterator[None]:
    """Put an app in the place of the notification service that never answers."""

    async def hang(_scope: Scope, _receive: Receive, _send: Send) -> None:
        await asyncio.Event().wait()

    dapr.apps["notification"] = hang
    yield
    del dapr.apps["notification"]


@pytest.mark.parametrize("answer", [JSONResponse([]), JSONResponse({"x": 1}, 503)])
async def test_a_notification_app_that_answers_something_else_is_named(
    dapr: SimulatedDapr, order: Service, answer: JSONResponse
) -> None:
    dapr.apps["notification"] = answer

    found = await ask(order, await place(order))
    del dapr.apps["notification"]

    assert found["blockedBy"] == "notification app"
    assert f"it answers {answer.status_code}" in found["why"]


async def test_the_services_own_sidecar_is_named_where_it_is_down(
    dapr: SimulatedDapr, order: Service, notification: Service
) -> None:
    dapr.running = False

    found = await ask(order, await place(order))
    dapr.running = True

    assert found["blockedBy"] == "order sidecar"
    assert "Nor does the broker have its event" in found["why"]
    assert found["next"].startswith("start the order sidecar again")


async def test_an_order_that_is_done_says_so_while_the_notification_service_is_down(
    dapr: SimulatedDapr, order: Service, notification: Service
) -> None:
    order_id = await place(order)
    await deliver(dapr, notification)
    await says(order, order_id, "It is done")
    dapr.away.add("notification")

    found = await ask(order, order_id)

    assert (found["done"], reached(found)) == (True, STAGES)
    assert found["stages"][4] == {"name": "shown", "reached": True, "at": None}
