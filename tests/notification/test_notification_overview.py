"""What can be asked about notifications."""

from pathlib import Path
from uuid import uuid4

import pytest

from services.notification.model import State
from services.notification.views.notification_overview import (
    NotificationQuery,
    list_notification_overviews,
)
from tests.notification.mail_room import MailRoom
from tests.support.eventually import eventually
from tests.support.services import Service, order_service
from tests.support.simulated_dapr import SimulatedDapr


async def notify(
    folder: Path, dapr: SimulatedDapr, notification: Service, *names: str
) -> list[str]:
    """Place orders for these names, and deliver their events to the notification service."""
    async with order_service(folder, dapr) as order:
        answers = [
            await order.http.post("/api/order", json={"customerName": name})
            for name in names
        ]

        async def all_published() -> bool:
            return len(dapr.queue) == len(names)

        await eventually(all_published, "every order's event is published")
    assert await dapr.deliver_to(notification.app) == ["SUCCESS"] * len(names)
    return [answer.json()["orderId"] for answer in answers]


async def test_a_notification_is_shown_with_its_text(
    tmp_path: Path, dapr: SimulatedDapr, notification: Service
) -> None:
    (order_id,) = await notify(tmp_path, dapr, notification, "Jane Doe")

    async def sent() -> dict[str, str] | None:
        shown = (await notification.http.get(f"/api/notification/{order_id}")).json()
        return shown if shown["state"] == "SENT" else None

    shown = await eventually(sent, "the notification is sent")
    assert shown["channel"] == "console"
    assert shown["sentAt"].endswith("Z")
    assert shown["text"].startswith(
        f"Notification for Order {order_id}: Dear Jane Doe, your order was"
    )


async def test_the_list_goes_through_all_notifications_page_by_page(
    tmp_path: Path, dapr: SimulatedDapr, notification: Service
) -> None:
    placed = await notify(tmp_path, dapr, notification, "Ann", "Ben", "Cem")

    first = (await notification.http.get("/api/notification?limit=2")).json()
    second = (
        await notification.http.get(f"/api/notification?limit=2&cursor={first['next']}")
    ).json()

    seen = [item["orderId"] for item in first["items"] + second["items"]]
    assert sorted(seen) == sorted(placed)
    assert second["next"] is None


async def test_an_order_without_a_notification_is_not_found(
    notification: Service,
) -> None:
    answer = await notification.http.get(f"/api/notification/{uuid4()}")

    assert (answer.status_code, answer.json()["type"]) == (
        404,
        "urn:problem-type:notification-not-found",
    )


@pytest.mark.parametrize("path", ["/api/notification/x", "/api/notification?cursor=x"])
async def test_an_id_that_is_none_is_named(notification: Service, path: str) -> None:
    answer = await notification.http.get(path)

    assert (answer.status_code, answer.json()["type"]) == (
        422,
        "urn:problem-type:invalid-request",
    )
    assert answer.json()["errors"][0]["field"] in {"orderId", "cursor"}


async def test_the_list_can_be_narrowed_to_one_state(room: MailRoom) -> None:
    for state in (State.HELD, State.FAILED, State.HELD, State.SENT, State.READY):
        await room.order(state=state)

    async def states_of(**query: object) -> list[State]:
        asked = NotificationQuery.model_validate(query)
        page = await room.database.read(
            lambda session: list_notification_overviews(asked, session)
        )
        return [each.state for each in page.items]

    for state, number in ((State.HELD, 2), (State.SENT, 1), (State.UNKNOWN, 0)):
        assert await states_of(state=state) == [state] * number
    assert len(await states_of()) == 5
    assert len(await states_of(state=State.HELD, limit=1)) == 1


@pytest.mark.parametrize("query", ["state=LOST", "sate=HELD", "limit=201"])
async def test_a_query_that_is_not_understood_is_refused(
    notification: Service, query: str
) -> None:
    answer = await notification.http.get(f"/api/notification?{query}")

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == query.partition("=")[0]
