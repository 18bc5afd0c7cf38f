"""Hostile events: whatever the broker brings is answered with SUCCESS, once, and stops nothing behind it."""

import json
import logging
from typing import Any

import pytest
from sqlalchemy.exc import StatementError
from sqlalchemy.orm import Session

from chassis.cloud_event import CloudEvent
from chassis.inbox import Arrival, Reaction
from chassis.inbox.dead_letter import (
    MAX_BODY,
    MAX_REASON,
    DeadLetter,
    dead_letter,
    store,
)
from chassis.inbox.reaction import inbox
from contracts.order_created import OrderCreated
from services.notification.model import Notification
from services.notification.reactions.notify_customer_on_order_created import (
    reaction,
    row_of,
)
from tests.chassis.inbox.apps import Acting, inbox_of
from tests.support.database import followed
from tests.support.delivering import (
    DEAD,
    DELIVERED,
    deliver,
    order_created,
    received,
    rows,
    signed,
)
from tests.support.services import Service
from tests.support.simulated_dapr import SimulatedDapr
from tests.support.simulated_delivery import Message

OF_ANOTHER_TYPE: list[Any] = [None, True, ["x"], {"x": 1}]
ATTRIBUTES = sorted(order_created().keys() - {"topic", "pubsubname"})


def with_data(**changes: object) -> dict[str, Any]:
    """Return an OrderCreated with these fields of its data changed, signed where it can be."""
    event = order_created()
    return signed({**event, "data": {**event["data"], **changes}})


def written(old: str, new: bytes) -> bytes:
    """Return an OrderCreated as JSON, with this piece of the text replaced."""
    text = json.dumps(order_created()).encode()
    assert old.encode() in text
    return text.replace(old.encode(), new, 1)


def after_all(more: bytes) -> bytes:
    """Return an OrderCreated as JSON, with more at its end."""
    return json.dumps(order_created()).encode()[:-1] + b"," + more + b"}"


def stored(body: dict[str, Any] | bytes) -> bytes:
    """Return what a dead letter has of a body."""
    return (body if isinstance(body, bytes) else json.dumps(body).encode())[:MAX_BODY]


# Each is a dead letter. What is no JSON, daprd moves to the dead-letter topic by itself.
REFUSED: dict[str, dict[str, Any] | bytes] = {
    "100,000 brackets": b"[" * 100_000,
    "60,000 brackets": b"[" * 60_000,
    "60,000 brackets in an attribute": after_all(b'"x":' + b"[" * 60_000),
    "60,000 brackets in the data": written('"Jane Doe"', b"[" * 60_000),
    "NaN as the version": order_created(aggregateversion=float("nan")),
    "infinity as the data": order_created(data=float("inf")),
    "NUL in the id": order_created(id="a\0b"),
    "NUL in the source": order_created(source="/order\0"),
    "NUL in the type": order_created(type="Order\0Created"),
    "NUL in the schema": order_created(dataschema="urn:\0"),
    "NUL in the trace": order_created(traceparent="\0"),
    "NUL in a name": with_data(customerName="Jane\0Doe"),
    "NUL in a field that nobody knows": with_data(x=[{"y\0": 1}]),
    "a bare NUL": written("Jane Doe", b"Jane\0Doe"),
    "a lone surrogate in the id": order_created(id="\ud800"),
    "a lone surrogate in the source": order_created(source="/\udfff"),
    "a lone surrogate in a name": with_data(customerName="\ud83d"),
    "a surrogate in UTF-8": written("Jane Doe", b"\xed\xa0\x80"),
    "bytes that are no UTF-8": written("Jane Doe", b"\xff\xfe"),
    "UTF-16": json.dumps(order_created()).encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf" + json.dumps(order_created()).encode(),
    "two events": json.dumps(order_created()).encode() * 2,
    "a list of events": json.dumps([order_created()]).encode(),
    "a version beyond every integer": order_created(aggregateversion=10**30),
    "a version beyond the column": order_created(aggregateversion=2**31),
    "a version below zero": order_created(aggregateversion=-1),
    "a number of 5,000 digits": written(
        '"aggregateversion": 1', b'"aggregateversion": ' + b"9" * 5000
    ),
    "a number of 5,000 digits in the data": written('"Jane Doe"', b"9" * 5000),
    "a time after 9999 in UTC": order_created(time="9999-12-31T23:59:59-14:00"),
    "a time before 0001 in UTC": order_created(time="0001-01-01T00:00:00+14:00"),
    "an order after 9999 in UTC": with_data(createdAt="9999-12-31T23:59:59-14:00"),
    "an order before 0001 in UTC": with_data(createdAt="0001-01-01T00:00:00+14:00"),
    "a time that is a huge number": order_created(time=1e300),
    "a time without a zone": with_data(createdAt="2026-01-31T08:15:30"),
    "an id of 201 characters": order_created(id="x" * 201),
    "an id of 60,000 characters": order_created(id="x" * 60_000),
    "a subject of 60,000 characters": order_created(subject="x" * 60_000),
    "a trace of 60,000 characters": order_created(traceparent="x" * 60_000),
    "a source of 60,000 characters": order_created(source="/" + "x" * 60_000),
    "a name of 201 characters": with_data(customerName="x" * 201),
    "two ids, the second one bad": after_all(b'"id":7'),
    "data twice, the second time bad": after_all(b'"data":[]'),
    "no attribute at all": {},
    **{
        f"{name} as {value!r}": order_created(**{name: value})
        for name in ATTRIBUTES
        for value in OF_ANOTHER_TYPE
    },
}
# Each is odd, and an event all the same.
HANDLED: dict[str, dict[str, Any] | bytes] = {
    "NaN in an attribute that nobody knows": order_created(x=float("nan")),
    "a number with a huge exponent in one": after_all(b'"x":1e999'),
    "a huge number in one": order_created(x=10**4000),
    "100 brackets in the data": with_data(x=json.loads("[" * 100 + "]" * 100)),
    "the largest number in the data": with_data(x=2**53 - 1),
    "an attribute twice": after_all(b'"traceparent":"x","traceparent":"y"'),
    "the first moment": with_data(createdAt="0001-01-01T00:00:00Z"),
    "the last moment": with_data(createdAt="9999-12-31T23:59:59.999Z"),
    "an id of 200 characters": order_created(id="x" * 200),
    "an id of an SQL injection": order_created(id="'; DROP TABLE inbox; --"),
    "a name beyond the first plane": with_data(customerName="\U0001f642" * 200),
    "backslashes that look like a NUL": with_data(customerName="a\\u0000"),
    "no subject": order_created(subject=""),
    "a time in the future": order_created(time="9999-12-31T23:59:59.999Z"),
}


@pytest.mark.parametrize("route", [DELIVERED, DEAD])
async def test_what_can_never_be_handled_is_one_dead_letter_and_stops_nothing(
    notification: Service, route: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chassis.inbox.dead_letter.SAMPLE", 1000)
    cases = {
        case: body
        for case, body in REFUSED.items()
        if route == DEAD or not received(body).fault
    }

    statuses = {
        case: await deliver(notification, body, route) for case, body in cases.items()
    }

    assert statuses == dict.fromkeys(cases, "SUCCESS")
    assert await rows(notification, Notification.id) == []
    letters = await rows(notification, *dead_letter.c)
    bodies = sorted(each.body for each in letters)
    assert bodies == sorted(stored(each) for each in cases.values())
    assert all(each.reason.isprintable() for each in letters)
    # What is authentic holds its key, and nothing else does.
    assert all(each.authentic is (each.event_id is not None) for each in letters)
    keys = sorted(row.event_id for row in await rows(notification, inbox.c.event_id))
    assert keys == sorted(each.event_id for each in letters if each.authentic)
    assert 0 < len(keys) < len(letters) / 2
    assert await deliver(notification, order_created(), route) == "SUCCESS"
    assert len(await rows(notification, Notification.id)) == 1


async def test_what_daprd_cannot_read_is_one_dead_letter_as_its_bytes_were(
    notification: Service, dapr: SimulatedDapr
) -> None:
    dapr.queue.append(Message("OrderCreated", b"\xff{"))

    statuses = [await dapr.deliver_to(notification.app) for _ in range(2)]

    assert statuses == [["DROP"], ["SUCCESS"]]
    assert await rows(notification, dead_letter.c.body) == [(b"\xff{",)]


async def test_what_is_odd_and_an_event_all_the_same_is_handled(
    notification: Service,
) -> None:
    statuses = {
        case: await deliver(notification, body) for case, body in HANDLED.items()
    }

    assert statuses == dict.fromkeys(HANDLED, "SUCCESS")
    assert await rows(notification, dead_letter.c.reason) == []
    assert len(await rows(notification, Notification.id)) == len(HANDLED)


async def test_a_value_that_cannot_even_be_sent_to_the_database_is_a_dead_letter(
    notification: Service,
) -> None:
    error = StatementError("an integer", "INSERT", None, OverflowError("too large"))
    body = received(order_created())

    answer = await inbox_of(notification).handle(Acting(error).reaction(), body)

    assert answer == "SUCCESS"
    assert len(await rows(notification, dead_letter.c.id)) == 1


async def test_it_is_one_too_where_the_reaction_leaves_sending_to_the_session(
    notification: Service,
) -> None:
    def add(event: OrderCreated, envelope: CloudEvent, session: Session) -> None:
        made = Notification(**row_of(event, envelope))
        made.created_at = made.created_at.replace(tzinfo=None)  # no column takes that
        session.add(made)

    body = received(order_created())

    answer = await inbox_of(notification).handle(Reaction(OrderCreated, add), body)

    assert answer == "SUCCESS"
    assert len(await rows(notification, dead_letter.c.id)) == 1


@pytest.mark.parametrize("more", [0, 1])
async def test_a_body_of_just_the_largest_size_is_handled_and_a_larger_one_cut_off(
    notification: Service, more: int
) -> None:
    empty = with_data(x="")
    room = MAX_BODY - len(json.dumps(empty))
    data = {**empty["data"], "x": "x" * (room + more)}
    body = json.dumps(signed({**empty, "data": data})).encode()
    assert len(body) == MAX_BODY + more

    assert await deliver(notification, body) == "SUCCESS"

    assert len(await rows(notification, Notification.id)) == 1 - more
    letters = await rows(notification, dead_letter.c.body, dead_letter.c.reason)
    reason = f"it has {len(body)} bytes; {MAX_BODY} are the most (cut off: it has {len(body)} bytes)"
    assert letters == [(body[:MAX_BODY], reason)] * more


async def test_15000_chinese_characters_are_handled_whether_pushed_or_pulled(
    notification: Service,
) -> None:
    """An event is measured in bytes of UTF-8, as its sender wrote it and as daprd passes it on."""
    pushed, pulled = with_data(x="漢" * 15_000), with_data(x="漢" * 15_000)
    bodies = [
        json.dumps(each, ensure_ascii=False).encode() for each in (pushed, pulled)
    ]

    assert await deliver(notification, bodies[0]) == "SUCCESS"
    handler = inbox_of(notification)
    assert (
        await handler.handle(reaction, received(bodies[1]), Arrival.PULLED) == "SUCCESS"
    )

    assert await rows(notification, dead_letter.c.reason) == []
    handled = await rows(notification, Notification.caused_by)
    assert {each.caused_by for each in handled} == {pushed["id"], pulled["id"]}


async def test_a_reason_forges_no_line_of_the_log(
    notification: Service, caplog: pytest.LogCaptureFixture
) -> None:
    forged = "/order\nERROR chassis.relay: \u202eall is lost\x1b[2J"

    with caplog.at_level(logging.ERROR):
        await deliver(notification, order_created(type=forged))
        await followed(notification.database)

    ((reason,),) = await rows(notification, dead_letter.c.reason)
    (line,) = [each for each in caplog.messages if "dead letter" in each]
    assert reason.isprintable()
    assert line.isprintable()
    assert reason in line
    assert "all is lost" in reason


async def test_no_reason_breaks_the_table(notification: Service) -> None:
    letter = DeadLetter("reaction", b"\0\xff", "a\0b\ud800c\r\n" + "d" * 70_000)
    await notification.database.write(lambda session: store(session, letter))

    ((reason, body),) = await rows(
        notification, dead_letter.c.reason, dead_letter.c.body
    )
    assert reason == r"a\x00b\xd800c " + "d" * (MAX_REASON - 14)
    assert body == b"\0\xff"
