"""The page of one order: its stages, why it is not there yet, what to press, and what has happened."""

import json
import re
from pathlib import Path
from uuid import UUID

from chassis.outbox.outbox import outbox
from services.order.pages.history import history
from services.order.views.order_journey import follow
from tests.order.test_desk import _read
from tests.order.test_order_journey import JANE, place, says
from tests.support.delivering import rows
from tests.support.mail_server import DROP
from tests.support.services import Service, notification_service, order_service
from tests.support.simulated_dapr import SimulatedDapr

MARKUP = re.compile(r"<[^>]+>")


async def text_of(order: Service, order_id: str) -> str:
    """Return what the page of an order says."""
    answer = await order.http.get(f"/orders/{order_id}")
    assert answer.status_code == 200
    return " ".join(MARKUP.sub(" ", answer.text).split())


async def test_a_finished_order_shows_every_step_in_the_order_of_time(
    order: Service, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    async with notification_service(tmp_path, dapr):
        order_id = await place(order)
        await says(order, order_id, "It is done")

        found = history(await follow(_read(order), UUID(order_id)))
        said = await text_of(order, order_id)

    assert [each.at for each in found] == sorted(each.at for each in found)
    steps = [
        "Accepted: the order and its event",
        "OrderCreated is published, at attempt 1.",
        "OrderCreated is handled: ",
        "The notification is printed on the console.",
        "NotificationSent is handled: it was pulled.",
    ]
    assert all(each in said for each in steps)
    assert "It is done" in said
    assert "not yet" not in said


async def test_an_order_that_waits_says_for_what_and_names_its_ids(
    order: Service, dapr: SimulatedDapr
) -> None:
    order_id = await place(order)
    await says(order, order_id, "It waits for the notification sidecar")

    page = (await order.http.get(f"/orders/{order_id}")).text
    said = await text_of(order, order_id)

    assert "It waits for the notification sidecar" in said
    assert "What to do: start the notification sidecar again" in said
    event = re.search(r"event</dt>|event <code>([0-9a-f-]{36})</code>", page)
    assert event
    assert re.search(r"<code>[0-9a-f]{32}</code>", page), "the id of its trace"


async def test_a_held_notification_leads_to_the_page_where_it_is_released(
    each_database: None, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    links = {
        "notification_pages_url": "http://127.0.0.1:8002/",
    }
    async with (
        order_service(tmp_path, dapr, **links) as order,
        notification_service(tmp_path, dapr, unknown_mail="hold"),
    ):
        dapr.bindings["email"].acts["DOT"] = DROP
        order_id = await place(order, JANE)
        await says(order, order_id, "is held for an operator")

        page = (await order.http.get(f"/orders/{order_id}")).text

    assert f'href="http://127.0.0.1:8002/?order={order_id}"' in page


async def test_each_event_of_a_notification_that_was_held_is_in_its_history(
    each_database: None, order: Service, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    async with notification_service(tmp_path, dapr, unknown_mail="hold") as service:
        dapr.bindings["email"].acts["DOT"] = DROP
        order_id = await place(order, JANE)
        await says(order, order_id, "is held for an operator")
        del dapr.bindings["email"].acts["DOT"]
        said = {"by": "Ada", "reason": "it did not arrive"}
        url = f"/api/notification/{order_id}/release"
        assert (await service.http.post(url, json=said)).status_code == 200
        await says(order, order_id, "It is done")

        found = history(await follow(_read(order), UUID(order_id)))
        events = {
            each["id"]: each["type"]
            for (text,) in await rows(service, outbox.c.event)
            for each in [json.loads(text)]
        }

    named = {
        each.ids["event"]: each.what.split(" ")[0]
        for each in found
        if each.ids.get("event") in events
    }
    assert named == events
    assert sorted(events.values()) == [
        "NotificationFailed",
        "NotificationReleased",
        "NotificationSent",
    ]
    said_of_all = "\n".join(each.what for each in found)
    assert "NotificationFailed is stored, to be pulled: HELD, " in said_of_all
    for event in events.values():
        assert f"{event} is handled: it was pulled." in said_of_all


async def test_a_trace_is_linked_where_it_is_recorded(
    tmp_path: Path, dapr: SimulatedDapr
) -> None:
    links = {"trace_viewer_url": "http://127.0.0.1:1/trace/{trace_id}"}
    viewer = r'href="http://127\.0\.0\.1:1/trace/[0-9a-f]{32}"'
    async with order_service(tmp_path, dapr, **links) as order:
        pages = []
        for flag in ("01", "00"):
            headers = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-{flag}"}
            body = {"customerName": "Jane"}
            answer = await order.http.post("/api/order", json=body, headers=headers)
            address = f"/orders/{answer.json()['orderId']}"
            pages.append((await order.http.get(address)).text)

    assert [bool(re.search(viewer, each)) for each in pages] == [True, False]
    assert ["not recorded" in each for each in pages] == [False, True]


async def test_a_part_in_its_way_leads_to_the_operations_of_the_service_that_shows_it(
    tmp_path: Path, dapr: SimulatedDapr
) -> None:
    links = {"notification_pages_url": "http://127.0.0.1:8002/"}
    async with order_service(tmp_path, dapr, **links) as order:
        order_id = await place(order)
        await says(order, order_id, "It waits for the notification sidecar")

        page = (await order.http.get(f"/orders/{order_id}")).text

    assert 'href="http://127.0.0.1:8002/operations"' in page
