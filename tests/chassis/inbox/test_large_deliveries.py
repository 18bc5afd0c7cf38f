"""Deliveries of any size: what is too large is counted, cut off and stored, and never held in memory."""

import base64
import json
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chassis.inbox.dead_letter import MAX_BODY, dead_letter
from chassis.inbox.subscriptions import MAX_BULK, Tuning
from services.notification.model import Notification
from tests.support.database import execute
from tests.support.delivering import DEAD, DELIVERED, order_created, rows
from tests.support.services import Service
from tests.support.simulated_delivery import bulk

PIECE = b"x" * 2**16
PIECES = 2_000
SIZE = len(PIECE) * PIECES
MEMORY = 4 * 2**20
"""Bytes that a delivery may take, whatever its size: thirty times less than the one below has."""


async def pieces(*first: bytes) -> AsyncIterator[bytes]:
    """Yield a body of 131 MB, after what it begins with."""
    for each in first:
        yield each
    for _ in range(PIECES):
        yield PIECE


async def delivered(service: Service, route: str, body: Any) -> str:  # noqa: ANN401 - httpx's
    """Deliver; return the status that is answered."""
    answer = await service.http.post(route, content=body)
    assert answer.status_code == 200
    return str(answer.json()["status"])


def statuses(*entries: str) -> dict[str, Any]:
    """Return the answer to a bulk delivery that handles these."""
    return {"statuses": [{"entryId": e, "status": "SUCCESS"} for e in entries]}


def with_filler(size: int) -> bytes:
    """Return an event of this size."""
    event = order_created(x="")
    return json.dumps(event | {"x": "x" * (size - len(json.dumps(event)))}).encode()


def wrapped(body: bytes) -> bytes:
    """Return bytes as daprd wraps what is raw."""
    data = base64.b64encode(body).decode()
    return json.dumps({"data_base64": data, "topic": "x", "type": "y"}).encode()


async def test_a_huge_delivery_is_stored_cut_off_and_never_held_in_memory(
    notification: Service,
) -> None:
    tracemalloc.start()
    try:
        status = await delivered(notification, DEAD, pieces())
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert status == "SUCCESS"
    assert most < MEMORY
    columns = (dead_letter.c.body, dead_letter.c.reason, dead_letter.c.event_id)
    ((body, reason, held),) = await rows(notification, *columns)
    assert body == b"x" * MAX_BODY
    assert reason == (
        f"it has {SIZE} bytes; {MAX_BODY} are the most (cut off: it has {SIZE} bytes)"
    )
    assert held is None


async def test_a_huge_event_is_stored_cut_off_and_what_came_before_it_is_handled(
    notification: Service,
) -> None:
    before = bulk({"1": json.dumps(order_created()).encode(), "2": b"|"}).partition(
        b"|"
    )[0]
    tracemalloc.start()
    try:
        answer = await notification.http.post(DELIVERED, content=pieces(before, b'"'))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert answer.json() == statuses("1", "2")
    assert most < MEMORY
    assert len(await rows(notification, Notification.id)) == 1
    ((body, reason),) = await rows(
        notification, dead_letter.c.body, dead_letter.c.reason
    )
    assert body == b'"' + b"x" * (MAX_BODY - 1)
    assert reason.endswith(
        f"bytes; {MAX_BODY} are the most (cut off: it has {MAX_BULK - len(before)} bytes)"
    )


async def test_what_a_bulk_delivery_has_beyond_what_is_read_comes_again(
    notification: Service,
) -> None:
    """Without a status, daprd delivers it again, and nothing before it."""
    events = {str(n): with_filler(60_000) for n in range(20)}
    left, rounds = dict(events), 0

    while left:
        answer = await notification.http.post(DELIVERED, content=bulk(left))
        handled = {each["entryId"] for each in answer.json()["statuses"]}
        assert handled
        left = {each: body for each, body in left.items() if each not in handled}
        rounds += 1

    assert rounds == 3
    assert len(await rows(notification, Notification.id)) == 20
    assert await rows(notification, dead_letter.c.id) == []


async def test_an_event_that_looks_like_thousands_is_the_work_of_one_delivery(
    notification: Service,
) -> None:
    """Nested too deeply to be parsed; daprd passes it on."""
    looks_like = b"".join(b'{"entryId":"%d","event":' % n for n in range(9_000))
    hostile = looks_like + b"7" + b"}" * 9_000
    good = json.dumps(order_created()).encode()
    left = {"hostile": hostile, "good": good}

    for _ in range(2):
        answer = await notification.http.post(DELIVERED, content=bulk(left))
        handled = [each["entryId"] for each in answer.json()["statuses"]]
        assert 0 < len(handled) <= Tuning().most
        left = {each: body for each, body in left.items() if each not in handled}

    assert left == {}
    assert len(await rows(notification, Notification.id)) == 1
    assert len(await rows(notification, dead_letter.c.id)) <= Tuning().most


async def test_a_huge_dead_letter_is_stored_as_it_was_before_the_sidecar_wrapped_it(
    notification: Service,
) -> None:
    begin = wrapped(b'{"id": "an event"' + b" " * 300_000).removesuffix(
        b'", "topic": "x", "type": "y"}'
    )

    assert await delivered(notification, DEAD, pieces(begin)) == "SUCCESS"

    ((body,),) = await rows(notification, dead_letter.c.body)
    assert body == (b'{"id": "an event"' + b" " * 300_000)[:MAX_BODY]


@pytest.mark.parametrize("more", [0, 1])
async def test_the_largest_event_is_handled_from_the_dead_letter_topic_too(
    notification: Service, more: int
) -> None:
    event = {**order_created(), "x": ""}
    event["x"] = "x" * (MAX_BODY - len(json.dumps(event)) + more)

    status = await delivered(notification, DEAD, wrapped(json.dumps(event).encode()))

    assert status == "SUCCESS"
    assert len(await rows(notification, Notification.id)) == 1 - more
    letters = await rows(notification, dead_letter.c.reason, dead_letter.c.body)
    stored = [(reason[:15], len(body)) for reason, body in letters]
    assert stored == [(f"it has {MAX_BODY + 1} by", MAX_BODY)] * more


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")
async def test_a_huge_delivery_comes_back_where_it_cannot_be_stored(
    notification: Service,
) -> None:
    await execute(notification.database, "ALTER TABLE dead_letter RENAME TO moved")

    assert await delivered(notification, DEAD, pieces()) == "RETRY"

    await execute(notification.database, "ALTER TABLE moved RENAME TO dead_letter")
    assert await rows(notification, dead_letter.c.id) == []
