"""Erasure, and what others wrote of a customer: why a mail failed, and what was answered about a dead letter."""

import json
from pathlib import Path
from uuid import UUID

from sqlalchemy.orm import Session

from chassis.inbox.dead_letter import DeadLetter, store
from chassis.runtime import clock
from services.notification import outcomes
from services.notification.model import Notification, State
from services.order.model import Notification as Shown
from services.order.model import NotificationState, record_notification
from tests.order.test_erasure import (
    NAME,
    NOTIFY,
    erase,
    is_forgotten,
    place,
    shows,
    stored_event,
)
from tests.support.services import Service, notification_service
from tests.support.simulated_dapr import SimulatedDapr


async def test_why_a_mail_was_not_sent_names_nobody_any_more(
    order: Service, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    """Mail servers and operators write what they like; an event that says so may come after the erasure."""
    dapr.bindings.pop("email")

    async def fails(order_id: UUID) -> None:
        ours, why = Notification.order_id == order_id, f"550 no {NAME} here"

        def work(session: Session) -> None:
            outcomes.mark_and_append(session, ours, State.FAILED, reason=why)

        await notification.database.write(work)

    async with notification_service(tmp_path, dapr) as notification:
        early, late = await place(order), await place(order)
        await dapr.deliver_to(notification.app)
        await fails(early)
        await shows(order, early, "FAILED")
        why = {"by": "Eve", "reason": f"{NAME} called"}
        url = f"/api/notification/{early}/discard"
        assert (await notification.http.post(url, json=why)).is_success
        await fails(late)

        await erase(order)

        await shows(order, late, "FAILED")
        await is_forgotten(order, notification)


async def test_a_reason_that_comes_after_the_erasure_is_not_shown(
    order: Service,
) -> None:
    order_id = await place(order)
    await erase(order)
    failed = Shown(NotificationState.FAILED, "email", clock.now(), f"no {NAME} here")

    await order.database.write(
        lambda session: record_notification(session, order_id, 1, failed)
    )

    answer = (await order.http.get(f"/api/order/{order_id}")).json()
    assert (answer["notification"]["state"], answer["notification"]["reason"]) == (
        "FAILED",
        None,
    )


async def test_no_answer_that_is_stored_with_its_key_has_what_was_in_a_letter(
    order: Service, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    await place(order)
    event = await stored_event(order)
    body = json.dumps(event).encode()
    letter = DeadLetter(NOTIFY, body, "it failed", event_id=event["id"])
    why = {"by": "Eve", "reason": "why"}
    edit = {**why, "data": {**event["data"], "customerName": f"{NAME} II"}}
    async with notification_service(tmp_path, dapr) as notification:
        await notification.database.write(lambda session: store(session, letter))

        for verb, sent in (("edit", edit), ("discard", why), ("restore", why)):
            url, key = f"/api/dead-letter/1/{verb}", {"Idempotency-Key": "a-key"}
            answer = await notification.http.post(url, json=sent, headers=key)
            assert answer.status_code == 200, answer.text

        await erase(order)
        await is_forgotten(order, notification)
