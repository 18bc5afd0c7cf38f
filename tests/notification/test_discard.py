"""Discards: what was not sent never is, with who decided so and why; the order shows it; a release undoes it."""

from uuid import UUID, uuid4

import httpx
import pytest

from chassis.database import add
from contracts.order_created import OrderCreated
from services.notification.model import Notification, State
from services.notification.reactions.notify_customer_on_order_created import row_of
from tests.support.delivering import order_created
from tests.support.services import Service

WHY = {"by": "Ada Lovelace", "reason": "A test of the shop."}
OWN = {"sec-fetch-site": "same-origin"}
EVIL = "<script>alert(1)</script>"


async def kept(service: Service, state: State, name: str = "Jane Doe") -> UUID:
    """Store a notification in a state; return its order."""
    data = {**order_created()["data"], "orderId": str(uuid4()), "customerName": name}
    event = OrderCreated.model_validate(data)
    row = {**row_of(event, None), "state": state, "reason": EVIL, "due_at": None}
    await service.database.write(
        lambda session: add(session, Notification.__table__, row)
    )
    return event.order_id


async def discarded(service: Service, order: object, **why: str) -> httpx.Response:
    """Discard the notification of an order."""
    url = f"/api/notification/{order}/discard"
    return await service.http.post(url, json=why or WHY)


async def shown(service: Service, order: UUID) -> dict[str, object]:
    """Return a notification as the API shows it."""
    return dict((await service.http.get(f"/api/notification/{order}")).json())


@pytest.mark.parametrize("state", [State.HELD, State.FAILED, State.UNKNOWN])
async def test_what_was_not_sent_is_discarded_and_says_by_whom_and_why(
    notification: Service, state: State
) -> None:
    order = await kept(notification, state)

    answer = await discarded(notification, order)

    assert answer.status_code == 200
    found = await shown(notification, order)
    assert (found["state"], found["discardedBy"]) == ("DISCARDED", WHY["by"])
    assert found["reason"] == "discarded by Ada Lovelace: A test of the shop."
    assert (await discarded(notification, order)).status_code == 409


@pytest.mark.parametrize("state", [State.READY, State.SENDING, State.SENT])
async def test_what_is_on_its_way_or_sent_is_not_discarded(
    notification: Service, state: State
) -> None:
    order = await kept(notification, state)

    answer = await discarded(notification, order)

    assert answer.json()["type"] == "urn:problem-type:not-discardable"
    assert (await shown(notification, order))["state"] == state


async def test_nobody_discards_what_is_not_there_or_without_a_reason(
    notification: Service,
) -> None:
    assert (await discarded(notification, uuid4())).status_code == 404
    order = await kept(notification, State.HELD)
    assert (await discarded(notification, order, by="Ada")).status_code == 422


async def test_a_release_undoes_a_discard(notification: Service) -> None:
    order = await kept(notification, State.HELD)
    await discarded(notification, order)

    answer = await notification.http.post(
        f"/api/notification/{order}/release", json=WHY
    )

    assert answer.status_code == 200
    assert (await shown(notification, order))["state"] == "SENT"


async def test_the_page_lists_a_state_and_decides_about_what_was_selected(
    notification: Service,
) -> None:
    first, second, third = [await kept(notification, State.HELD, EVIL) for _ in "abc"]

    page = await notification.http.get("/?state=HELD")
    assert page.status_code == 200
    assert "Held (3)" in page.text
    assert EVIL not in page.text
    fields = {f"order-{first}": "on", f"order-{second}": "on", **WHY}
    url = "/?state=HELD"
    for act, done in (("discard", "Done for 2."), ("discard", "Refused:")):
        answer = await notification.http.post(
            url, data={**fields, "act": act}, headers=OWN
        )
        assert done in answer.text

    states = [
        (await shown(notification, each))["state"] for each in (first, second, third)
    ]
    assert states == ["DISCARDED", "DISCARDED", "HELD"]


async def test_the_page_of_one_order_decides_about_it_whatever_its_state(
    notification: Service,
) -> None:
    order, other = await kept(notification, State.FAILED), uuid4()
    await kept(notification, State.HELD, "Somebody else")
    url = f"/?order={order}"

    page = (await notification.http.get(url)).text
    fields = {f"order-{order}": "on", "act": "discard", **WHY}
    answer = await notification.http.post(url, data=fields, headers=OWN)

    assert f'action="./?order={order}"' in page
    assert "Release the selected" in page
    assert "Somebody else" not in page
    assert "Done for 1." in answer.text
    assert (await shown(notification, order))["state"] == "DISCARDED"
    assert "There is none" in (await notification.http.get(f"/?order={other}")).text


async def test_all_of_a_page_are_selected_together(notification: Service) -> None:
    orders = [await kept(notification, State.FAILED) for _ in range(3)]
    listed = " ".join(map(str, orders))
    fields = {"listed": listed, "every": "on", "act": "release", **WHY}

    answer = await notification.http.post("/?state=FAILED", data=fields, headers=OWN)

    assert "Done for 3." in answer.text
    assert {(await shown(notification, each))["state"] for each in orders} == {"SENT"}


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({}, "Select at least one."),
        ({"order-7": "on"}, "badly formed"),
        ({f"order-{uuid4()}": "on", "by": ""}, "Field required"),
        ({f"order-{uuid4()}": "on", "act": "eat"}, "act"),
    ],
)
async def test_a_decision_that_cannot_be_is_said_on_the_page(
    notification: Service, fields: dict[str, str], error: str
) -> None:
    order = await kept(notification, State.HELD)
    given = {**WHY, "act": "discard", **fields}

    answer = await notification.http.post("/?state=HELD", data=given, headers=OWN)

    assert answer.status_code == 422
    assert error in answer.text
    assert (await shown(notification, order))["state"] == "HELD"


async def test_pages_of_no_state_are_said(notification: Service) -> None:
    assert (await notification.http.get("/?state=GONE")).status_code == 422
    assert "There is none yet." in (await notification.http.get("/")).text
    assert "none that is held" in (await notification.http.get("/?state=HELD")).text
