"""Dead letters: what daprd cannot read, or an app drops, is delivered on the dead-letter topic, as it was.

(Without a dead-letter topic, daprd would read the unreadable again without end, and lose what is dropped.)
"""

import json
from uuid import uuid4

import pytest
from starlette.responses import Response

from tests.conformance.probe import DEAD, WATCHED, Watched, an_event, status, unwrapped
from tests.conformance.stage import Stage
from tests.support.eventually import eventually

CLOUD_EVENT = "application/cloudevents+json"
UNREADABLE = {
    "no JSON": b"\xff\xfe no JSON, %s",
    "an array": b'["%s"]',
    "a text": b'"%s"',
    "JSON with more behind it": b'{"id": "%s"} and more',
    "JSON that is cut off": b'{"id": "%s"',
    "a number that is none": b'{"id": "%s", "x": NaN}',
    "a byte order mark": b'\xef\xbb\xbf{"id": "%s"}',
}
NO_EVENT = {
    "an object": b' {"x" : "%s", "x": 1.50, "y": 12345678901234567890123}\n',
    "attributes of another type": b'{"id": 7, "type": null, "data": "%s", "specversion": []}',
    "an object that is no UTF-8": b'{"x": "%s \xff"}',
    "a lone surrogate": b'{"x": "%s \\ud800"}',
}
DROPPED = {"404": Response(status_code=404), "DROP": status("DROP")}


def of_its_own(case: bytes) -> bytes:
    """Return bytes that no other test puts into the broker."""
    return case.replace(b"%s", str(uuid4()).encode())


def seen(dapr: Stage, body: bytes) -> list[Watched]:
    """Return the deliveries of these bytes."""
    return [
        each
        for each in dapr.probe.watched
        if body == (unwrapped(each.body) if each.topic == DEAD else each.body)
    ]


async def arrives(dapr: Stage, topic: str, *bodies: bytes, times: int = 1) -> None:
    """Wait until each of these has been delivered so often on this topic."""

    async def arrived() -> bool:
        await dapr.turn()
        counts = [sum(x.topic == topic for x in seen(dapr, body)) for body in bodies]
        return min(counts) >= times

    await eventually(arrived, f"all is delivered on {topic} {times} times")


def is_wrapped(delivery: Watched) -> bool:
    """Return whether bytes came as daprd wraps what is raw."""
    envelope = json.loads(delivery.body)
    return (delivery.content_type, envelope) == (
        CLOUD_EVENT,
        {
            "data_base64": envelope["data_base64"],
            "datacontenttype": "application/octet-stream",
            "id": envelope["id"],
            "pubsubname": "pubsub",
            "source": "Dapr",
            "specversion": "1.0",
            "topic": DEAD,
            "type": "com.dapr.event.sent",
        },
    )


async def test_what_daprd_cannot_read_is_a_dead_letter_once_as_it_was(
    dapr: Stage,
) -> None:
    bodies = {name: of_its_own(case) for name, case in UNREADABLE.items()}

    for body in bodies.values():
        await dapr.put(WATCHED, body)
    await arrives(dapr, DEAD, *bodies.values())
    await dapr.has_nothing_left()

    deliveries = {name: seen(dapr, body) for name, body in bodies.items()}
    assert {name: len(each) for name, each in deliveries.items()} == dict.fromkeys(
        UNREADABLE, 1
    )
    assert all(is_wrapped(each) for (each,) in deliveries.values())


async def test_json_that_is_no_event_is_delivered_as_it_is(dapr: Stage) -> None:
    bodies = {name: of_its_own(case) for name, case in NO_EVENT.items()}

    for body in bodies.values():
        await dapr.put(WATCHED, body)
    await arrives(dapr, WATCHED, *bodies.values())
    await dapr.has_nothing_left()

    deliveries = {name: seen(dapr, body) for name, body in bodies.items()}
    assert deliveries == {
        name: [Watched(WATCHED, body, CLOUD_EVENT)] for name, body in bodies.items()
    }


@pytest.mark.parametrize("answer", DROPPED)
async def test_what_an_app_drops_is_a_dead_letter(dapr: Stage, answer: str) -> None:
    body = json.dumps(an_event()).encode()
    dapr.probe.watched_answers[WATCHED, body].append(DROPPED[answer])

    await dapr.put(WATCHED, body)
    await arrives(dapr, DEAD, body)
    await dapr.has_nothing_left()

    first, second = seen(dapr, body)
    assert first == Watched(WATCHED, body, CLOUD_EVENT)
    assert is_wrapped(second)


async def test_what_an_app_asks_for_again_is_no_dead_letter(dapr: Stage) -> None:
    body = json.dumps(an_event()).encode()
    dapr.probe.watched_answers[WATCHED, body].extend(status("RETRY") for _ in range(2))

    await dapr.put(WATCHED, body)
    await arrives(dapr, WATCHED, body, times=3)
    await dapr.has_nothing_left()

    assert seen(dapr, body) == [Watched(WATCHED, body, CLOUD_EVENT)] * 3


async def test_a_dead_letter_is_delivered_again_until_it_is_acknowledged(
    dapr: Stage,
) -> None:
    body = of_its_own(UNREADABLE["no JSON"])
    dapr.probe.watched_answers[DEAD, body].extend(
        [status("RETRY"), Response(status_code=500)]
    )

    await dapr.put(WATCHED, body)
    await arrives(dapr, DEAD, body, times=3)
    await dapr.has_nothing_left()

    first, *again = seen(dapr, body)
    assert is_wrapped(first)
    assert again == [first] * 2
