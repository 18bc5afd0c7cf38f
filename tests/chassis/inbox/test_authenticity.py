"""Whoever reaches the broker may send anything: it is acknowledged, kept as a sample, and takes no place."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chassis.dead_letters.replay import discard
from chassis.inbox.dead_letter import SAMPLE, dead_letter
from chassis.inbox.reaction import inbox
from chassis.runtime.secret_file import replace
from chassis.signature import SigningKeys
from services.notification.model import Notification
from tests.support.database import KEYS_TEXT, followed, migrated
from tests.support.delivering import (
    DEAD,
    DELIVERED,
    deliver,
    order_created,
    rows,
    signed,
)
from tests.support.eventually import eventually
from tests.support.services import Service, notification_service
from tests.support.simulated_dapr import SimulatedDapr

Event = dict[str, Any]
STRANGER = SigningKeys.generate()
RENEWED = "renewed:the-key-that-is-to-come-next-year"


def without(event: Event, name: str) -> Event:
    """Return an event without this attribute."""
    return {key: value for key, value in event.items() if key != name}


FORGERIES: dict[str, Callable[[Event], Event]] = {
    "other data": lambda event: {
        **event,
        "data": {**event["data"], "customerName": "X"},
    },
    "no data": lambda event: {**event, "data": {}},
    "another subject": lambda event: {**event, "subject": order_created()["subject"]},
    "another source": lambda event: {**event, "source": "/forger"},
    "another type": lambda event: {**event, "type": "OrderShipped"},
    "another version": lambda event: {**event, "aggregateversion": 7},
    "another time": lambda event: {**event, "time": "2026-02-01T00:00:00.000Z"},
    "a NUL in the trace": lambda event: {**event, "traceparent": "a\0b"},
    "no signature": lambda event: without(event, "signature"),
    "an empty signature": lambda event: {**event, "signature": ""},
    "the signature of another event": lambda event: {
        **event,
        "signature": order_created()["signature"],
    },
    "the signature of a stranger": lambda event: signed(event, STRANGER),
    "the signature of another producer": lambda event: signed(
        {**event, "source": "/notification"}
    ),
    "no id": lambda event: without(event, "id"),
}


@pytest.mark.parametrize("route", [DELIVERED, DEAD])
async def test_what_is_not_authentic_claims_nothing_and_the_authentic_event_is_handled(
    notification: Service, route: str
) -> None:
    authentic = {name: order_created() for name in FORGERIES}
    forged = [FORGERIES[name](event) for name, event in authentic.items()]
    ids = {event["id"] for event in authentic.values()}

    for events, handled in (
        (forged, set()),
        (authentic.values(), ids),
        (forged, ids),
    ):
        statuses = [await deliver(notification, each, route) for each in events]
        assert set(statuses) == {"SUCCESS"}
        keys = await rows(notification, inbox.c.event_id)
        assert {row.event_id for row in keys} == handled

    columns = (Notification.caused_by, Notification.customer_name)
    assert {*await rows(notification, *columns)} == {(each, "Jane Doe") for each in ids}
    letters = await rows(notification, *dead_letter.c)
    bodies = [json.dumps(each).encode() for each in forged]
    assert sorted(each.body for each in letters) == sorted(bodies * 2)
    assert {(each.event_id, each.authentic) for each in letters} == {(None, False)}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"not JSON", "Invalid JSON"),
        (b"", "Invalid JSON"),
        (b'"OrderCreated"', "an object"),
        (order_created(id=7), "id"),
        (order_created(data="x"), "data"),
        (without(order_created(), "signature"), "it is not signed"),
        (
            {**order_created(), "subject": "x"},
            "it is altered, or signed with an unknown key",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_the_reason_shows_why_it_is_not_authentic(
    notification: Service, body: Event | bytes, reason: str
) -> None:
    assert await deliver(notification, body) == "SUCCESS"

    ((stored,),) = await rows(notification, dead_letter.c.reason)
    assert reason in stored
    assert "Jane" not in stored


async def test_daprd_may_add_attributes_and_write_another_trace(
    notification: Service,
) -> None:
    event = {**order_created(), "traceparent": "00-x", "traceid": "", "tracestate": ""}

    assert await deliver(notification, event) == "SUCCESS"

    assert await rows(notification, Notification.caused_by) == [(event["id"],)]


async def test_only_a_sample_of_what_is_not_authentic_is_stored(
    notification: Service, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(SAMPLE + 5):
        assert await deliver(notification, f"nonsense {number}".encode()) == "SUCCESS"

    assert SAMPLE == 100
    assert len(await rows(notification, dead_letter.c.id)) == SAMPLE
    await followed(notification.database)
    assert "one more delivery that is not authentic, not stored" in caplog.messages[-1]
    assert (
        await deliver(notification, order_created(dataschema="urn:another"))
        == "SUCCESS"
    )
    assert await deliver(notification, order_created()) == "SUCCESS"
    assert len(await rows(notification, Notification.id)) == 1
    assert await _count(notification, authentic=True) == 1


async def test_a_sample_that_was_looked_at_makes_room_for_another(
    notification: Service,
) -> None:
    for number in range(SAMPLE):
        await deliver(notification, f"nonsense {number}".encode())
    first = min(each.id for each in await rows(notification, dead_letter.c.id))
    await notification.database.write(
        lambda session: discard(session, first, by="jane", because="a test")
    )

    for _ in range(2):
        await deliver(notification, b"more nonsense")

    assert await _count(notification, authentic=False) == SAMPLE + 1


async def _count(service: Service, *, authentic: bool) -> int:
    found = await rows(service, dead_letter.c.authentic)
    return sum(each.authentic is authentic for each in found)


@pytest.mark.usefixtures("each_database")
async def test_a_key_is_renewed_while_services_run(
    tmp_path: Path, dapr: SimulatedDapr
) -> None:
    """First every replica verifies the new key, then they sign with it; none is started again for that."""
    await migrated("notification", tmp_path).close()
    both = SigningKeys.parse(f"{RENEWED}\n{KEYS_TEXT}")
    of_the_old, of_the_new = order_created(), order_created(keys=both)
    assert of_the_new != signed(of_the_new)

    async with notification_service(tmp_path, dapr) as before:
        await deliver(before, signed(of_the_new, both))
        assert await rows(before, Notification.caused_by) == []
        replace(tmp_path / "order.keys", f"{KEYS_TEXT}\n{RENEWED}\n")
        await eventually(lambda: verifies(before, of_the_new), "it reads them again")
        for event in (of_the_old, of_the_new):
            assert await deliver(before, event) == "SUCCESS"
        handled = {row.caused_by for row in await rows(before, Notification.caused_by)}

    assert handled == {of_the_old["id"], of_the_new["id"]}


async def verifies(service: Service, event: Event) -> bool:
    """Return whether a service has the key by which this event is signed."""
    return service.parts.keys.verify(event)
