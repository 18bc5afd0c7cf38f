"""The inbox: an event is taken in once, and what cannot be taken in is kept and never loops."""

import json
from typing import Any

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from chassis import errors
from chassis.cloud_event import CloudEvent
from chassis.inbox.dead_letter import dead_letter
from chassis.inbox.inbox import Reaction, give_up, inbox, take_in
from chassis.inbox.subscriptions import Subscriptions
from contracts.order_created import OrderCreated
from services.notification.model import Notification
from services.order.model import OrderUnknown
from tests.support.delivering import deliver, order_created, rows
from tests.support.letters import STRICT, hears_strictly
from tests.support.services import Service


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

    assert [await deliver(notification, event) for _ in range(2)] == [
        "SUCCESS",
        "SUCCESS",
    ]

    assert len(await rows(notification, Notification.id)) == 1
    assert await rows(notification, inbox.c.reaction, inbox.c.event_id) == [
        ("notify_customer_on_order_created", event["id"])
    ]
    assert await rows(notification, dead_letter.c.id) == []


async def test_a_reaction_acts_once_however_often_its_event_comes(
    notification: Service,
) -> None:
    acted: list[str] = []

    async def act(_: object, envelope: CloudEvent, __: object) -> None:
        acted.append(envelope.id)

    event = order_created()
    body, counting = json.dumps(event).encode(), Reaction(OrderCreated, act)
    for _ in range(3):
        assert await take_in(notification.database, counting, body) == "SUCCESS"

    assert acted == [event["id"]]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param(b"not JSON", "Invalid JSON", id="not JSON"),
        pytest.param(b"", "Invalid JSON", id="nothing"),
        pytest.param(b'"OrderCreated"', "an object", id="not an object"),
        pytest.param(order_created(id=7), "id", id="an id of another type"),
        pytest.param(
            order_created(type="OrderShipped", dataschema="urn:x"),
            "urn:x",
            id="another event",
        ),
        pytest.param(
            order_created(source="/notification"),
            "'/notification'",
            id="another sender",
        ),
        pytest.param(order_created(source="Order"), "'Order'", id="no sender of ours"),
        pytest.param(
            order_created(type="OrderShipped"), "OrderShipped", id="another type"
        ),
        pytest.param(
            order_created(dataschema="urn:contract:OrderCreated:2"),
            ":2",
            id="another version",
        ),
        pytest.param(
            order_created(data={"orderId": "x"}),
            "orderId",
            id="data that break the contract",
        ),
        pytest.param(order_created(data="x"), "data", id="data of another type"),
    ],
)
async def test_an_event_that_can_never_be_taken_in_is_kept_with_its_reason(
    notification: Service, body: dict[str, Any] | bytes, reason: str
) -> None:
    assert await deliver(notification, body) == "SUCCESS"

    (kept,) = await rows(
        notification, dead_letter.c.reaction, dead_letter.c.reason, dead_letter.c.body
    )
    assert kept.reaction == "notify_customer_on_order_created"
    assert reason in kept.reason
    assert kept.body == (body if isinstance(body, bytes) else json.dumps(body).encode())
    assert await rows(notification, Notification.id) == []


async def test_a_second_event_for_an_order_makes_no_second_notification(
    notification: Service,
) -> None:
    event = order_created()

    assert await deliver(notification, event) == "SUCCESS"
    assert await deliver(notification, {**event, "id": "another"}) == "SUCCESS"

    assert len(await rows(notification, Notification.id)) == 1
    assert len(await rows(notification, dead_letter.c.id)) == 1


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")
async def test_trouble_with_the_database_brings_the_event_back(
    notification: Service,
) -> None:
    event = order_created()
    async with notification.database.write() as session:
        await session.execute(text("ALTER TABLE inbox RENAME TO away"))

    assert await deliver(notification, event) == "RETRY"

    async with notification.database.write() as session:
        await session.execute(text("ALTER TABLE away RENAME TO inbox"))
    assert await deliver(notification, event) == "SUCCESS"
    assert len(await rows(notification, Notification.id)) == 1


async def test_what_is_forged_does_not_take_the_place_of_what_is_genuine(
    notification: Service,
) -> None:
    """Anybody who reaches the broker may send an event with the id of one that is still to come."""
    genuine = order_created()
    forged = [
        {**genuine, "data": {}},
        {**genuine, "source": "/forger"},
        {**genuine, "type": "OrderShipped"},
        {**genuine, "traceparent": "a\0b"},
    ]

    for each in (*forged, genuine):
        assert await deliver(notification, each) == "SUCCESS"

    assert await rows(notification, Notification.caused_by) == [(genuine["id"],)]
    held = await rows(notification, dead_letter.c.event_id)
    assert held == [(None,)] * len(forged)


async def test_a_good_event_that_fails_for_good_is_a_dead_letter_that_holds_its_key(
    notification: Service, caplog: pytest.LogCaptureFixture
) -> None:
    first = order_created()
    second = {**first, "id": "another"}

    await hears_strictly(notification, first, second, second)

    (said,) = [each for each in caplog.messages if "dead letter" in each]
    assert said.isprintable()
    assert await rows(notification, dead_letter.c.event_id) == [("another",)]
    taken = await rows(notification, inbox.c.event_id)
    assert sorted(taken) == sorted([(first["id"],), ("another",)])


async def test_of_two_letters_under_one_id_the_first_holds_it(
    notification: Service,
) -> None:
    """One came twice at once, and failed both times; the other says something else."""
    event, refused = order_created(), IntegrityError(None, None, ValueError())
    another = {**order_created(), "id": event["id"]}

    for each in (event, event, another):
        async with notification.database.write() as session:
            await give_up(session, STRICT, json.dumps(each).encode(), refused)

    held = await rows(notification, dead_letter.c.event_id)
    assert held == [(event["id"],), (None,)]


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")
async def test_what_cannot_even_be_kept_comes_back(notification: Service) -> None:
    route = "/events/notification-dead-letter"
    async with notification.database.write() as session:
        await session.execute(text("ALTER TABLE dead_letter RENAME TO away"))

    assert await deliver(notification, b"no event", route) == "RETRY"

    async with notification.database.write() as session:
        await session.execute(text("ALTER TABLE away RENAME TO dead_letter"))
    assert await deliver(notification, b"no event", route) == "SUCCESS"
    assert len(await rows(notification, dead_letter.c.id)) == 1


async def test_what_a_reaction_does_not_find_is_no_reason_to_drop_it(
    notification: Service,
) -> None:
    """Dapr drops what is answered 404."""

    async def look(*_: object) -> None:
        raise OrderUnknown

    app = FastAPI()
    errors.install(app)
    hears = [Reaction(OrderCreated, look)]
    Subscriptions(app, notification.database, "pubsub", {}).hear("some", hears)
    transport = ASGITransport(app, raise_app_exceptions=False)
    async with AsyncClient(transport=transport, base_url="http://app") as http:
        some = Service(app, notification.database, http)

        assert await deliver(some, order_created()) == "SUCCESS"

    assert len(await rows(notification, dead_letter.c.id)) == 1


async def test_a_reaction_that_fails_for_now_is_tried_again(
    notification: Service,
) -> None:
    troubles: list[Exception] = [
        OSError("no space left on device"),
        DBAPIError("INSERT", None, Refusing("40001")),
    ]

    async def act(*_: object) -> None:
        if troubles:
            raise troubles.pop()

    event = order_created()
    body, tried = json.dumps(event).encode(), Reaction(OrderCreated, act)
    for _ in range(2):
        assert await take_in(notification.database, tried, body) == "RETRY"
        assert await rows(notification, inbox.c.event_id) == []

    assert await take_in(notification.database, tried, body) == "SUCCESS"
    assert await rows(notification, inbox.c.event_id) == [(event["id"],)]
    assert await rows(notification, dead_letter.c.id) == []


class Refusing(Exception):
    """What PostgreSQL answers, as its driver says it."""

    def __init__(self, sqlstate: str) -> None:
        super().__init__("refused")
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    ("sqlstate", "status", "kept"),
    [
        pytest.param("22001", "SUCCESS", 1, id="a text that is too long"),
        pytest.param("22021", "SUCCESS", 1, id="a character that is none"),
        pytest.param("40001", "RETRY", 0, id="transactions that collide"),
        pytest.param("57P03", "RETRY", 0, id="a server that is starting"),
    ],
)
async def test_postgresqls_answer_tells_whether_an_event_may_be_taken_in_later(
    notification: Service, sqlstate: str, status: str, kept: int
) -> None:
    async def react(*_: object) -> None:
        raise DBAPIError("INSERT", None, Refusing(sqlstate))

    body = json.dumps(order_created()).encode()
    told = await take_in(notification.database, Reaction(OrderCreated, react), body)

    assert told == status
    assert len(await rows(notification, dead_letter.c.id)) == kept
