"""Bulk deliveries: one transaction for all of them, and each event for itself where that fails."""

import json

import pytest
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy.orm import Session

from chassis.cloud_event import CloudEvent
from chassis.inbox import Arrival
from chassis.inbox.attempts import attempt
from chassis.inbox.dead_letter import dead_letter
from chassis.inbox.parse import Unprocessable
from chassis.inbox.reaction import inbox
from contracts.order_created import OrderCreated
from services.notification.model import Notification
from tests.chassis.inbox.apps import Acting, inbox_of, subscribing
from tests.support.delivering import (
    deliver_bulk,
    order_created,
    received,
    rows,
)
from tests.support.services import Service
from tests.support.simulated_dapr import SimulatedDapr
from tests.support.simulated_delivery import Message

SUCCESS, RETRY = "SUCCESS", "RETRY"
DEEP = b'{"x":' + b"[" * 5_000 + b"]" * 5_000 + b"}"
NESTED = b'{"x":[{"entryId":"0","event":7},{"entryId":"1","event":{"id":"a"}}]}'


class FailingOn(Acting):
    """Fails on one event."""

    def __init__(self, bad: str, error: Exception) -> None:
        super().__init__()
        self.bad, self.error = bad, error

    def __call__(
        self, event: OrderCreated, envelope: CloudEvent, session: Session
    ) -> None:
        """Fail, or note the event."""
        if envelope.id == self.bad:
            raise self.error
        super().__call__(event, envelope, session)


async def test_a_bulk_delivery_is_claimed_and_handled_at_once(
    notification: Service,
) -> None:
    events = [order_created() for _ in range(20)]
    claims: list[str] = []

    def note(_c: object, _k: object, statement: str, *_: object) -> None:
        claims.extend([statement] if "INTO inbox" in statement else [])

    sqlalchemy_event.listen(notification.database.engine, "before_cursor_execute", note)

    statuses = await deliver_bulk(notification, *events)

    assert statuses == [SUCCESS] * 20
    assert len(claims) == 1
    handled = await rows(notification, Notification.caused_by)
    assert {row.caused_by for row in handled} == {each["id"] for each in events}


async def test_events_are_acted_on_in_their_order_and_each_once(
    notification: Service,
) -> None:
    acting, events = Acting(), [order_created() for _ in range(5)]
    order = [events[n] for n in (4, 2, 0, 4, 3, 1, 0)]

    async with subscribing(notification, acting.reaction()) as app:
        await deliver_bulk(app, events[2])
        assert await deliver_bulk(app, *order) == [SUCCESS] * 7

    assert acting.acted == [events[n]["id"] for n in (2, 4, 0, 3, 1)]


async def test_one_that_fails_is_retried_alone_and_the_others_are_handled(
    notification: Service,
) -> None:
    events = [order_created() for _ in range(10)]

    acting = FailingOn(events[3]["id"], ZeroDivisionError())
    async with subscribing(notification, acting.reaction()) as app:
        statuses = await deliver_bulk(app, *events)
        assert statuses == [SUCCESS] * 3 + [RETRY] + [SUCCESS] * 6
        attempted = await rows(app, attempt.c.event_id, attempt.c.attempts)
        assert attempted == [(events[3]["id"], 1)]
        acting.bad = ""
        assert await deliver_bulk(app, events[3]) == [SUCCESS]

    handled = await rows(notification, inbox.c.event_id)
    assert {row.event_id for row in handled} == {each["id"] for each in events}


@pytest.mark.parametrize(
    "odd",
    [b"{}", b"null", DEEP, NESTED, b'"text"', b'{"entryId":"2","event":{}}'],
    ids=["empty", "null", "deep", "nested", "text", "like an entry"],
)
async def test_one_that_is_no_event_is_a_dead_letter_and_stops_no_other(
    notification: Service, odd: bytes
) -> None:
    good = [order_created() for _ in range(3)]

    statuses = await deliver_bulk(notification, good[0], odd, *good[1:])

    assert statuses == [SUCCESS] * 4
    assert len(await rows(notification, Notification.id)) == 3
    letters = await rows(notification, dead_letter.c.body, dead_letter.c.authentic)
    assert len(letters) == 1
    assert letters[0].body.startswith(odd)
    assert not letters[0].authentic


async def test_one_that_can_never_be_handled_is_a_dead_letter_and_stops_no_other(
    notification: Service,
) -> None:
    events = [order_created() for _ in range(3)]
    acting = FailingOn(events[1]["id"], Unprocessable("it is too late"))

    async with subscribing(notification, acting.reaction()) as app:
        assert await deliver_bulk(app, *events) == [SUCCESS] * 3

    letters = await rows(notification, dead_letter.c.reason, dead_letter.c.authentic)
    assert letters == [("it is too late", True)]


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")
async def test_while_the_database_is_away_all_come_again_and_none_is_tried_alone(
    notification: Service, caplog: pytest.LogCaptureFixture
) -> None:
    events = [order_created() for _ in range(10)]
    handler = inbox_of(notification)
    await notification.database.close()
    acting = Acting()

    statuses = await handler.deliver(acting.reaction(), [*map(received, events)])

    assert statuses == [RETRY] * 10
    assert acting.acted == []


async def test_those_that_were_pulled_before_are_late(notification: Service) -> None:
    acting, events = Acting(), [order_created() for _ in range(3)]
    handler = inbox_of(notification)
    await handler.handle(acting.reaction(), received(events[1]), Arrival.PULLED)
    await handler.handle(acting.reaction(), received(events[2]))

    statuses = await handler.deliver(acting.reaction(), [*map(received, events)])

    assert statuses == [SUCCESS] * 3
    arrivals = dict(await rows(notification, inbox.c.event_id, inbox.c.arrival))
    assert [arrivals[each["id"]] for each in events] == ["PUSHED", "LATE", "PUSHED"]


async def test_the_sidecar_delivers_in_bulk(
    notification: Service, dapr: SimulatedDapr
) -> None:
    bodies = [json.dumps(order_created()).encode() for _ in range(10)]
    dapr.queue += [Message("OrderCreated", each) for each in (*bodies, b"no JSON")]

    assert await dapr.deliver_to(notification.app) == [SUCCESS] * 10 + ["DROP"]

    assert len(await rows(notification, Notification.id)) == 10
