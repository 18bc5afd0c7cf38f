"""What the notification service knows of an order on its way."""

from functools import partial
from uuid import UUID, uuid4

import httpx

from chassis.outbox.outbox import State as EventState
from services.notification.model import State
from services.notification.views.notification_journey import find_notification_journey
from tests.notification.mail_room import MailRoom, attempt
from tests.support.delivering import deliver, order_created
from tests.support.services import Service


async def ask(service: Service, path: str) -> httpx.Response:
    """Ask as the order service does, with the secret of the pair."""
    headers = {"authorization": f"Bearer {service.parts.secret}"}
    return await service.http.get(f"/internal/notification/{path}", headers=headers)


async def test_of_an_order_that_has_not_arrived_it_knows_nothing(
    notification: Service,
) -> None:
    answer = await ask(notification, str(uuid4()))

    assert answer.status_code == 200
    found = answer.json()
    assert (found["notification"], found["sent"]) == (None, None)
    assert (found["received"]["handledAt"], found["received"]["failures"]) == (None, 0)


async def test_of_an_order_that_has_arrived_it_knows_when_how_and_what_became_of_it(
    notification: Service,
) -> None:
    event = order_created()
    assert await deliver(notification, event) == "SUCCESS"

    found = (await ask(notification, event["subject"])).json()

    assert found["received"]["arrival"] == "PUSHED"
    assert found["received"]["handledAt"] <= found["notification"]["sentAt"]
    assert found["sent"]["state"] == "PULL_ONLY"
    assert found["notification"]["state"] == "SENT"


async def test_a_dead_letter_is_found_by_the_id_of_its_event(
    notification: Service,
) -> None:
    event = order_created(data={"orderId": "none"})
    await deliver(notification, event)

    path = f"{event['subject']}?event={event['id']}"
    found = (await ask(notification, path)).json()

    assert found["received"]["deadLetter"]["state"] == "OPEN"
    assert "orderId" in found["received"]["deadLetter"]["reason"]


async def test_a_mail_s_own_event_is_found_among_those_of_others(
    room: MailRoom,
) -> None:
    orders = [await room.order() for _ in range(20)]
    for _ in orders:
        assert not await attempt(room.dispatcher())
    events = {each["id"]: each for each in await room.events()}

    for order in orders:
        found = await room.database.read(
            partial(find_notification_journey, order, None)
        )
        assert found.notification
        assert found.notification.state is State.SENT
        assert found.sent
        assert found.sent.state is EventState.PULL_ONLY
        assert UUID(events[found.sent.event_id]["subject"]) == order
