"""Bulk deliveries: what daprd posts, and what it makes of the answers.

By reading its source (pkg/runtime/subscription, 1.18.2), and never answered by the inbox: DROP takes the place
of an entry in the whole bulk for its place among those that are retried, so that another one is dropped, or daprd
dies; 404 drops all of them, past the dead-letter topic.
"""

import json
from typing import Any
from uuid import uuid4

import pytest
from starlette.responses import JSONResponse, Response

from chassis.inbox.subscriptions import _entries
from chassis.signature import SigningKeys
from tests.conformance.probe import (
    BULK,
    DEAD,
    MOST,
    TOPIC,
    BulkDelivery,
    an_event,
    unwrapped,
)
from tests.conformance.stage import Stage
from tests.support.eventually import eventually
from tests.support.simulated_delivery import as_delivered

ALL_AGAIN = {
    "one status for all": JSONResponse({"status": "SUCCESS"}),
    "an empty answer": Response(),
    "no JSON": Response("handled, thank you"),
    "no statuses": JSONResponse({"statuses": []}),
    "500": Response(status_code=500),
    "429": Response(status_code=429),
}
ODD = {
    "numbers": b'{"id":"%s","a":1.50,"b":123456789012345678901,"d":9007199254740991}',
    "other than UTF-8": b'{"id":"%s","x":"\xff"}',
    "escapes": '{"id":"%s","x":"<&>\u2028 caf\u00e9 \\u00e9"}'.encode(),
    "order, space and a key twice": b' { "x" : 1, "a" : null, "id" : "%s", "x" : 2 } ',
}


async def posted(
    dapr: Stage, events: dict[str, dict[str, Any]], times: int = 1
) -> list[BulkDelivery]:
    """Wait until each of these events was delivered so often; return the deliveries that had any of them."""

    def count(event_id: str) -> int:
        return sum(
            e["id"] == event_id for b in dapr.probe.bulks for e in b.entries.values()
        )

    async def are_posted() -> bool:
        await dapr.turn()
        return all(count(each) >= times for each in events)

    await eventually(are_posted, f"{len(events)} events are delivered {times} times")
    return [
        each
        for each in dapr.probe.bulks
        if any(e["id"] in events for e in each.entries.values())
    ]


async def published(dapr: Stage, number: int) -> dict[str, dict[str, Any]]:
    """Publish so many events at once; return them by id."""
    events = [an_event() for _ in range(number)]
    assert await dapr.publish(*events, topic=BULK) == {}
    return {each["id"]: each for each in events}


def counted(bulks: list[BulkDelivery]) -> dict[str, int]:
    """Return how often each event was delivered."""
    ids = [event["id"] for bulk in bulks for event in bulk.entries.values()]
    return {each: ids.count(each) for each in ids}


async def test_events_that_come_at_once_are_delivered_at_once_as_they_were(
    dapr: Stage,
) -> None:
    events = await published(dapr, 2 * MOST)

    bulks = await posted(dapr, events)

    assert counted(bulks) == dict.fromkeys(events, 1)
    assert len(bulks) < MOST
    for bulk in bulks:
        assert bulk.content_type == "application/json"
        assert len(bulk.entries) <= MOST
        for event in bulk.entries.values():
            assert events[event["id"]].items() <= event.items()


async def test_entries_are_written_as_the_inbox_reads_them(dapr: Stage) -> None:
    events = await published(dapr, MOST)

    bulks = await posted(dapr, events)

    for bulk in bulks:
        assert bulk.body.startswith(b'{"entries":[{"entryId":"')
        read = _entries(bulk.body, len(bulk.body), 100)
        assert {each: found.json for each, found in read.items()} == bulk.entries


@pytest.mark.parametrize("status", ["RETRY", "", "success", "DONE"])
async def test_an_entry_comes_again_alone_until_its_status_is_success(
    dapr: Stage, status: str
) -> None:
    events = {each["id"]: each for each in (an_event() for _ in range(10))}
    *_, last = events
    dapr.probe.statuses[last].extend([status] * 2)
    assert await dapr.publish(*events.values(), topic=BULK) == {}

    await posted(dapr, {last: events[last]}, times=3)
    bulks = await posted(dapr, events)

    assert counted(bulks) == {**dict.fromkeys(events, 1), last: 3}
    # A busy machine takes the ten for two bulks, and the other one may come between.
    _, *again = (
        len(bulk.entries)
        for bulk in bulks
        if last in (each["id"] for each in bulk.entries.values())
    )
    assert again == [1, 1]


@pytest.mark.parametrize("answer", ALL_AGAIN)
async def test_without_statuses_all_come_again(dapr: Stage, answer: str) -> None:
    dapr.probe.bulk_answers.append(ALL_AGAIN[answer])
    events = await published(dapr, 5)

    bulks = await posted(dapr, events)
    first = bulks[0].entries
    again = await posted(dapr, {e["id"]: e for e in first.values()}, times=2)

    assert dapr.probe.bulk_answers == type(dapr.probe.bulk_answers)()
    assert [*again[1].entries.values()] == [*first.values()]


async def test_what_is_no_json_is_a_dead_letter_and_the_others_are_delivered(
    dapr: Stage,
) -> None:
    bad = [b"no JSON %s" % str(uuid4()).encode() for _ in range(2)]
    good = {each["id"]: each for each in (an_event() for _ in range(3))}

    for body in (bad[0], *(json.dumps(e).encode() for e in good.values()), bad[1]):
        await dapr.put(BULK, body)
    bulks = await posted(dapr, good)

    async def arrived() -> bool:
        await dapr.turn()
        letters = [unwrapped(e.body) for e in dapr.probe.watched if e.topic == DEAD]
        return {*bad} <= {*letters}

    await eventually(arrived, "what is no JSON is a dead letter")
    assert counted(bulks) == dict.fromkeys(good, 1)


@pytest.mark.parametrize("case", ODD)
async def test_an_event_is_written_again_on_the_way(dapr: Stage, case: str) -> None:
    event_id = str(uuid4())
    body = ODD[case].replace(b"%s", event_id.encode())

    await dapr.put(BULK, body)
    (bulk,) = await posted(dapr, {event_id: {}})

    assert (as_delivered(body) or b"none") in bulk.body


async def test_while_the_app_is_away_nothing_is_acknowledged(dapr: Stage) -> None:
    """An answer without statuses is none: of single deliveries to a dead app, daprd acknowledges some."""
    async with dapr.app_stopped():
        events = await published(dapr, 2 * MOST)

    await posted(dapr, events)


async def test_a_signature_is_valid_whatever_daprd_rewrote(dapr: Stage) -> None:
    data = {"names": ["Zo\u00eb <b>&\u2028"], "numbers": [2**53 - 1, 1 - 2**53]}
    keys = SigningKeys.generate()
    event = an_event(data=data)
    signature = keys.sign(event)

    await dapr.publish({**event, "signature": signature}, topic=BULK)

    (bulk,) = await posted(dapr, {event["id"]: event})
    (arrived,) = bulk.entries.values()
    assert keys.verify(arrived)
    assert arrived["type"] == TOPIC
