"""Hostile events: whatever the broker brings is answered with SUCCESS, once, and stops nothing behind it."""

import json
import logging
from typing import Any

import pytest
from sqlalchemy.exc import StatementError

from chassis.inbox.dead_letter import LARGEST, LONGEST_REASON, Letter, bury, dead_letter
from chassis.inbox.inbox import Reaction, inbox, take_in
from contracts.order_created import OrderCreated
from services.notification.model import Notification
from tests.support.delivering import deliver, order_created, rows
from tests.support.services import Service
from tests.support.simulated_dapr import SimulatedDapr
from tests.support.simulated_delivery import Message

ATTRIBUTES = sorted(order_created().keys() - {"topic", "pubsubname"})
DEAD = "/events/notification-dead-letter"


def with_data(**changes: object) -> dict[str, Any]:
    """Make an OrderCreated with these fields of its data changed."""
    event = order_created()
    return {**event, "data": {**event["data"], **changes}}


def written(old: str, new: bytes) -> bytes:
    """Make an OrderCreated as JSON, with this piece of the text replaced."""
    text = json.dumps(order_created()).encode()
    assert old.encode() in text
    return text.replace(old.encode(), new, 1)


def after_all(more: bytes) -> bytes:
    """Make an OrderCreated as JSON, with more at its end."""
    return json.dumps(order_created()).encode()[:-1] + b"," + more + b"}"


def kept(body: dict[str, Any] | bytes) -> bytes:
    """Give what a dead letter keeps of a body."""
    return (body if isinstance(body, bytes) else json.dumps(body).encode())[:LARGEST]


# Each is kept as a dead letter.
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
        for value in (None, True, ["x"], {"x": 1})
    },
}
# Each is odd, and an event all the same.
TAKEN_IN: dict[str, dict[str, Any] | bytes] = {
    "NaN in an attribute that nobody knows": order_created(x=float("nan")),
    "NaN in the data": with_data(x=float("nan"), y=float("-inf")),
    "150 brackets in the data": with_data(x=json.loads("[" * 150 + "]" * 150)),
    "a huge number in the data": with_data(x=10**4000),
    "a number with a huge exponent": written('"Jane Doe"', b'"Jane", "x": 1e999'),
    "an attribute twice": after_all(b'"id":"the-second"'),
    "the first moment": with_data(createdAt="0001-01-01T00:00:00Z"),
    "the last moment": with_data(createdAt="9999-12-31T23:59:59.999Z"),
    "an id of 200 characters": order_created(id="x" * 200),
    "an id of an SQL injection": order_created(id="'; DROP TABLE inbox; --"),
    "a name beyond the first plane": with_data(customerName="\U0001f642" * 200),
    "backslashes that look like a NUL": with_data(customerName="a\\u0000"),
    "no subject": order_created(subject=""),
    "a time in seconds": order_created(time=7.5),
}


@pytest.mark.parametrize("route", ["/events/OrderCreated", DEAD])
async def test_what_can_never_be_taken_in_is_one_dead_letter_and_stops_nothing(
    notification: Service, route: str
) -> None:
    told = {
        case: await deliver(notification, body, route) for case, body in REFUSED.items()
    }

    assert told == dict.fromkeys(REFUSED, "SUCCESS")
    assert await rows(notification, Notification.id) == []
    assert await rows(notification, inbox.c.event_id) == []
    columns = (dead_letter.c.body, dead_letter.c.reason, dead_letter.c.event_id)
    letters = await rows(notification, *columns)
    bodies = sorted(body for body, _, _ in letters)
    assert bodies == sorted(kept(each) for each in REFUSED.values())
    assert all(reason.isprintable() and not held for _, reason, held in letters)
    assert await deliver(notification, order_created(), route) == "SUCCESS"
    assert len(await rows(notification, Notification.id)) == 1


async def test_what_daprd_cannot_read_is_one_dead_letter_as_its_bytes_were(
    notification: Service, dapr: SimulatedDapr
) -> None:
    dapr.queue.append(Message("OrderCreated", b"\xff{"))

    told = [await dapr.deliver_to(notification.app) for _ in range(2)]

    assert told == [["DROP"], ["SUCCESS"]]
    assert await rows(notification, dead_letter.c.body) == [(b"\xff{",)]


async def test_what_is_odd_and_an_event_all_the_same_is_taken_in(
    notification: Service,
) -> None:
    told = {case: await deliver(notification, body) for case, body in TAKEN_IN.items()}

    assert told == dict.fromkeys(TAKEN_IN, "SUCCESS")
    assert await rows(notification, dead_letter.c.reason) == []
    assert len(await rows(notification, Notification.id)) == len(TAKEN_IN)


async def test_a_value_that_cannot_even_be_sent_to_the_database_is_a_dead_letter(
    notification: Service,
) -> None:
    async def react(*_: object) -> None:
        raise StatementError("an integer", "INSERT", None, OverflowError("too large"))

    body = json.dumps(order_created()).encode()
    told = await take_in(notification.database, Reaction(OrderCreated, react), body)

    assert told == "SUCCESS"
    assert len(await rows(notification, dead_letter.c.id)) == 1


async def test_a_body_that_is_too_large_is_kept_cut_off_with_its_size(
    notification: Service,
) -> None:
    body = json.dumps(with_data(x="x" * LARGEST)).encode()

    assert await deliver(notification, body) == "SUCCESS"

    ((kept, reason),) = await rows(
        notification, dead_letter.c.body, dead_letter.c.reason
    )
    assert kept == body[:LARGEST]
    assert reason == (
        f"it has {len(body)} bytes, and {LARGEST} are the most "
        f"(cut off: it has {len(body)} bytes)"
    )


async def test_a_body_of_just_that_size_is_taken_in(notification: Service) -> None:
    event = with_data(x="")
    body = with_data(x="x" * (LARGEST - len(json.dumps(event))))

    assert await deliver(notification, body) == "SUCCESS"

    assert len(await rows(notification, Notification.id)) == 1


async def test_a_reason_forges_no_line_of_the_log(
    notification: Service, caplog: pytest.LogCaptureFixture
) -> None:
    forged = "/order\nERROR chassis.relay: \u202eall is lost\x1b[2J"

    with caplog.at_level(logging.ERROR):
        await deliver(notification, order_created(source=forged))

    ((reason,),) = await rows(notification, dead_letter.c.reason)
    (said,) = [each for each in caplog.messages if "dead letter" in each]
    assert reason.isprintable()
    assert said.isprintable()
    assert reason in said
    assert "all is lost" in reason


async def test_no_reason_breaks_the_table(notification: Service) -> None:
    async with notification.database.write() as session:
        reason = "a\0b\ud800c\r\n" + "d" * 70_000
        await bury(session, Letter("reaction", b"\0\xff", reason))

    ((kept, body),) = await rows(notification, dead_letter.c.reason, dead_letter.c.body)
    assert kept == r"a\x00b\xd800c " + "d" * (LONGEST_REASON - 14)
    assert body == b"\0\xff"
