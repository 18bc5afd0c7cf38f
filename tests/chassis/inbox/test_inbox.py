"""The inbox: an event is handled once, and what can never be handled is kept and never loops."""

import asyncio
import json
from datetime import timedelta
from functools import partial
from typing import Any

import psycopg
import pytest
from sqlalchemy.exc import DBAPIError, IntegrityError

from chassis.errors import Rejected
from chassis.inbox import Arrival
from chassis.inbox.dead_letter import dead_letter
from chassis.inbox.inbox import Failed, act_on_new, record_failure
from chassis.inbox.parse import REMEMBERED, NotAuthentic, Unprocessable
from chassis.inbox.reaction import inbox
from chassis.runtime import clock
from services.notification.model import Notification
from services.notification.reactions.notify_customer_on_order_created import reaction
from tests.chassis.inbox.apps import Acting, inbox_of
from tests.support.database import execute, followed
from tests.support.delivering import DEAD, deliver, order_created, received, rows
from tests.support.services import Service

ON_POSTGRESQL = pytest.mark.parametrize("each_database", ["postgresql"], indirect=True)


class OrderMissing(Rejected):
    """There is no such order."""

    status = 404


def body_of(event: dict[str, Any]) -> bytes:
    """Return an event as JSON."""
    return json.dumps(event).encode()


async def test_an_event_makes_a_notification(notification: Service) -> None:
    event = order_created()

    assert await deliver(notification, event) == "SUCCESS"

    ((order_id, name),) = await rows(
        notification, Notification.order_id, Notification.customer_name
    )
    assert (str(order_id), name) == (event["subject"], "Jane Doe")


async def test_an_event_that_is_delivered_twice_makes_one_notification(
    notification: Service,
) -> None:
    event = order_created()

    statuses = [await deliver(notification, event) for _ in range(2)]

    assert statuses == ["SUCCESS", "SUCCESS"]
    assert len(await rows(notification, Notification.id)) == 1
    assert await rows(notification, inbox.c.reaction, inbox.c.event_id) == [
        ("notify_customer_on_order_created", event["id"])
    ]
    assert await rows(notification, dead_letter.c.id) == []


async def test_a_reaction_acts_once_however_often_its_event_arrives(
    notification: Service,
) -> None:
    acting, handler = Acting(), inbox_of(notification)
    body = received(order_created())

    statuses = await asyncio.gather(
        *(handler.handle(acting.reaction(), body) for _ in range(10))
    )
    pulled = await handler.handle(acting.reaction(), body, Arrival.PULLED)

    assert {*statuses, pulled} == {"SUCCESS"}
    assert len(acting.acted) == 1
    assert await rows(notification, inbox.c.arrival) == [("PUSHED",)]


async def test_an_event_that_is_pushed_after_it_was_pulled_is_late(
    notification: Service,
) -> None:
    acting, handler = Acting(), inbox_of(notification)
    body = received(order_created())

    await handler.handle(acting.reaction(), body, Arrival.PULLED)
    assert await rows(notification, inbox.c.arrival) == [("PULLED",)]
    for _ in range(2):
        await handler.handle(acting.reaction(), body)

    assert await rows(notification, inbox.c.arrival) == [("LATE",)]
    assert len(acting.acted) == 1


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        pytest.param(
            {"type": "OrderShipped", "dataschema": "urn:x"}, "urn:x", id="another event"
        ),
        pytest.param({"type": "OrderShipped"}, "OrderShipped", id="another type"),
        pytest.param(
            {"dataschema": "urn:contract:OrderCreated:2"}, ":2", id="another version"
        ),
        pytest.param(
            {"data": {"orderId": "x"}}, "orderId", id="data that break the contract"
        ),
    ],
)
async def test_an_authentic_event_that_can_never_be_handled_is_a_dead_letter_that_holds_its_key(
    notification: Service, event: dict[str, Any], reason: str
) -> None:
    made = order_created(**event)

    statuses = [await deliver(notification, made) for _ in range(2)]

    assert statuses == ["SUCCESS", "SUCCESS"]
    (letter,) = await rows(notification, *dead_letter.c)
    assert letter.reaction == "notify_customer_on_order_created"
    assert reason in letter.reason
    assert letter.body == body_of(made)
    assert (letter.event_id, letter.authentic) == (made["id"], True)
    assert await rows(notification, inbox.c.event_id) == [(made["id"],)]
    assert await rows(notification, Notification.id) == []


async def test_a_second_event_for_an_order_makes_no_second_notification(
    notification: Service, caplog: pytest.LogCaptureFixture
) -> None:
    first = order_created()
    second = order_created(id="another", subject=first["subject"], data=first["data"])

    for event in (first, second, second):
        assert await deliver(notification, event) == "SUCCESS"

    assert await rows(notification, Notification.caused_by) == [(first["id"],)]
    assert await rows(notification, dead_letter.c.event_id) == [("another",)]
    handled = await rows(notification, inbox.c.event_id)
    assert sorted(handled) == sorted([(first["id"],), ("another",)])
    await followed(notification.database)
    (line,) = [each for each in caplog.messages if "dead letter" in each]
    assert line.isprintable()


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")
async def test_a_broken_database_brings_the_event_back(notification: Service) -> None:
    event = order_created()
    await execute(notification.database, "ALTER TABLE inbox RENAME TO moved")

    assert await deliver(notification, event) == "RETRY"

    await execute(notification.database, "ALTER TABLE moved RENAME TO inbox")
    assert await deliver(notification, event) == "SUCCESS"
    assert len(await rows(notification, Notification.id)) == 1


async def test_no_second_letter_is_stored_of_an_event_that_was_handled_meanwhile(
    notification: Service,
) -> None:
    """One delivery came twice at once; the first was handled, or became a letter."""
    event = order_created()
    body, error = body_of(event), IntegrityError(None, None, ValueError("twice"))
    failed = Failed(reaction.name, body, event["id"], error)
    handled = Failed(reaction.name, body, "handled", error)
    await inbox_of(notification).handle(
        reaction, received(order_created(id="handled")), Arrival.PULLED
    )

    for each in (failed, failed, handled):
        record = partial(record_failure, failed=each, arrival=Arrival.PUSHED)
        assert await notification.database.write(record)

    assert await rows(notification, dead_letter.c.event_id) == [(event["id"],)]


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")
@pytest.mark.parametrize(
    "event", [b"no event", order_created(dataschema="urn:another")]
)
async def test_what_cannot_even_be_stored_comes_back(
    notification: Service, event: dict[str, Any] | bytes
) -> None:
    await execute(notification.database, "ALTER TABLE dead_letter RENAME TO moved")

    assert await deliver(notification, event, DEAD) == "RETRY"

    await execute(notification.database, "ALTER TABLE moved RENAME TO dead_letter")
    assert await rows(notification, inbox.c.event_id) == []
    assert await deliver(notification, event, DEAD) == "SUCCESS"
    assert len(await rows(notification, dead_letter.c.id)) == 1


@pytest.mark.parametrize(
    ("error", "status", "letters"),
    [
        pytest.param(Unprocessable("too late"), "SUCCESS", 1, id="never acceptable"),
        pytest.param(OrderMissing(), "SUCCESS", 1, id="a 404, which Dapr would drop"),
        pytest.param(
            IntegrityError("INSERT", None, ValueError()), "SUCCESS", 1, id="integrity"
        ),
        pytest.param(ZeroDivisionError(), "RETRY", 0, id="a bug"),
        pytest.param(TimeoutError(), "RETRY", 0, id="an API that does not answer"),
        pytest.param("22001", "SUCCESS", 1, id="a text that is too long"),
        pytest.param("22021", "SUCCESS", 1, id="a character that is none"),
        pytest.param("40001", "RETRY", 0, id="transactions that collide"),
        pytest.param("57P03", "RETRY", 0, id="a server that is starting"),
    ],
)
async def test_the_kind_of_an_error_decides_whether_its_event_comes_back(
    notification: Service, error: Exception | str, status: str, letters: int
) -> None:
    if isinstance(error, str):
        refusal = psycopg.errors.lookup(error)("refused")
        error = DBAPIError("INSERT", None, refusal)
    acting, event = Acting(error), order_created()

    answer = await inbox_of(notification).handle(acting.reaction(), received(event))

    assert answer == status
    assert len(await rows(notification, dead_letter.c.id)) == letters
    assert len(await rows(notification, inbox.c.event_id)) == letters


async def test_many_events_are_handled_in_their_order_and_each_once(
    notification: Service,
) -> None:
    acting, handler = Acting(), inbox_of(notification)
    events = [order_created() for _ in range(5)]
    await handler.handle(acting.reaction(), received(events[2]))
    parsed = [handler.parse(acting.reaction(), received(each)) for each in events]
    order = [4, 2, 0, 4, 3, 1, 0]

    new = await notification.database.write(
        lambda session: act_on_new(
            session, acting.reaction(), [parsed[n] for n in order], Arrival.PULLED
        )
    )

    assert new == [events[n]["id"] for n in (4, 0, 3, 1)]
    assert acting.acted == [events[2]["id"], *new]
    assert len(await rows(notification, inbox.c.event_id)) == 5


async def test_no_events_are_handled_without_a_statement(
    notification: Service,
) -> None:
    new = await notification.database.write(
        lambda session: act_on_new(session, reaction, [], Arrival.PULLED)
    )

    assert new == []


@ON_POSTGRESQL
async def test_units_with_the_same_events_in_another_order_do_not_deadlock(
    notification: Service,
) -> None:
    acting, handler = Acting(), inbox_of(notification)
    bodies = [received(order_created()) for _ in range(50)]
    parsed = [handler.parse(acting.reaction(), each) for each in bodies]

    units = [
        partial(
            act_on_new,
            reaction=acting.reaction(),
            parsed=order,
            arrival=Arrival.PULLED,
        )
        for order in (parsed, parsed[::-1], parsed[25:] + parsed[:25])
    ]
    found = await asyncio.gather(*map(notification.database.write, units))

    assert sorted(map(len, found)) == [0, 0, 50]
    assert len(acting.acted) == 50


@pytest.mark.parametrize(
    ("age", "is_old"),
    [(REMEMBERED + timedelta(hours=1), True), (REMEMBERED - timedelta(hours=1), False)],
)
async def test_a_push_that_is_older_than_the_inbox_remembers_is_refused_and_a_pull_is_not(
    notification: Service, age: timedelta, *, is_old: bool
) -> None:
    """Its key may be forgotten: who recorded it could have it handled again."""
    acting, handler = Acting(), inbox_of(notification)
    time = (clock.now_ms() - age).isoformat().replace("+00:00", "Z")
    body = received(order_created(time=time))

    assert await handler.handle(acting.reaction(), body) == "SUCCESS"

    assert len(acting.acted) == 1 - is_old
    letters = await rows(notification, dead_letter.c.reason, dead_letter.c.authentic)
    reason = "it is older than the inbox remembers; the pull brings it"
    assert letters == [(reason, False)] * is_old
    assert await handler.handle(acting.reaction(), body, Arrival.PULLED) == "SUCCESS"
    assert len(acting.acted) == 1


async def test_what_is_not_authentic_in_a_feed_is_raised_and_leaves_nothing(
    notification: Service,
) -> None:
    altered = {**order_created(), "subject": "another"}

    with pytest.raises(NotAuthentic, match="altered, or signed with an unknown key"):
        await inbox_of(notification).handle(reaction, received(altered), Arrival.PULLED)

    assert await rows(notification, inbox.c.event_id) == []
    assert await rows(notification, dead_letter.c.id) == []
