"""Several reactions to one topic: each handles a push in a transaction of its own."""

import pytest

from chassis.inbox.attempts import MAX_ATTEMPTS
from chassis.inbox.dead_letter import dead_letter
from chassis.inbox.parse import Unprocessable
from chassis.inbox.reaction import inbox
from tests.chassis.inbox.apps import Acting, subscribing
from tests.support.delivering import DELIVERED, deliver, order_created, rows
from tests.support.services import Service

ROUTES = [DELIVERED, "/events/some-dead-letter"]


async def handled(service: Service) -> set[tuple[str, str]]:
    """Return which reaction has handled which event."""
    return {
        (row.reaction, row.event_id)
        for row in await rows(service, inbox.c.reaction, inbox.c.event_id)
    }


@pytest.mark.parametrize("route", ROUTES)
async def test_each_reaction_to_a_topic_handles_a_push(
    notification: Service, route: str
) -> None:
    one, other, event = Acting(), Acting(), order_created()

    async with subscribing(
        notification, one.reaction("one"), other.reaction("other")
    ) as app:
        for _ in range(2):
            assert await deliver(app, event, route) == "SUCCESS"
        assert await handled(app) == {("one", event["id"]), ("other", event["id"])}

    assert one.acted == other.acted == [event["id"]]


async def test_a_topic_is_subscribed_to_once(notification: Service) -> None:
    reactions = [Acting().reaction("one"), Acting().reaction("other")]

    async with subscribing(notification, *reactions) as app:
        subscribed = (await app.http.get("/dapr/subscribe")).json()

    assert [each["topic"] for each in subscribed] == [
        "OrderCreated",
        "some-dead-letter",
    ]


@pytest.mark.parametrize("failing_first", [True, False])
async def test_a_reaction_that_fails_is_retried_alone(
    notification: Service, *, failing_first: bool
) -> None:
    good, bad, event = Acting(), Acting(*[ZeroDivisionError()] * 3), order_created()
    reactions = [bad.reaction("bad"), good.reaction("good")]

    async with subscribing(
        notification, *(reactions if failing_first else reactions[::-1])
    ) as app:
        statuses = [await deliver(app, event) for _ in range(4)]

    assert statuses == ["RETRY"] * 3 + ["SUCCESS"]
    assert good.acted == bad.acted == [event["id"]]


async def test_a_reaction_that_never_succeeds_does_not_hold_up_the_other(
    notification: Service,
) -> None:
    good, event = Acting(), order_created()
    bad = Acting(*[ZeroDivisionError()] * MAX_ATTEMPTS)
    refusing = Acting(Unprocessable("it is too late"))

    async with subscribing(
        notification,
        bad.reaction("bad"),
        refusing.reaction("refusing"),
        good.reaction("good"),
    ) as app:
        statuses = [await deliver(app, event) for _ in range(MAX_ATTEMPTS)]
        letters = await rows(app, dead_letter.c.reaction, dead_letter.c.attempts)

    assert statuses == ["RETRY"] * (MAX_ATTEMPTS - 1) + ["SUCCESS"]
    assert sorted(letters) == [("bad", MAX_ATTEMPTS), ("refusing", 1)]
    assert good.acted == [event["id"]]
