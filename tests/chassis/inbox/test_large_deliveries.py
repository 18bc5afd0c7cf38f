"""Deliveries of any size: what is too large is counted, cut off and kept, and never held as a whole."""

import base64
import json
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import text

from chassis.inbox.dead_letter import LARGEST, dead_letter
from services.notification.model import Notification
from tests.support.delivering import order_created, rows
from tests.support.services import Service

DELIVERED, DEAD = "/events/OrderCreated", "/events/notification-dead-letter"
PIECE = b"x" * 2**16
PIECES = 2_000
SIZE = len(PIECE) * PIECES
MEMORY = 4 * 2**20
"""Bytes that a delivery may take, whatever its size: thirty times less than the one below has."""


async def pieces(*first: bytes) -> AsyncIterator[bytes]:
    """Send a body of 131 MB, after what it begins with."""
    for each in first:
        yield each
    for _ in range(PIECES):
        yield PIECE


async def delivered(service: Service, route: str, body: Any) -> str:  # noqa: ANN401 - httpx's
    """Deliver; give the status that is answered."""
    answer = await service.http.post(route, content=body)
    assert answer.status_code == 200
    return str(answer.json()["status"])


def wrapped(body: bytes) -> bytes:
    """Wrap bytes as daprd wraps what is raw."""
    data = base64.b64encode(body).decode()
    return json.dumps({"data_base64": data, "topic": "x", "type": "y"}).encode()


@pytest.mark.parametrize("route", [DELIVERED, DEAD])
async def test_a_huge_delivery_is_kept_cut_off_and_never_held_whole(
    notification: Service, route: str
) -> None:
    tracemalloc.start()
    try:
        status = await delivered(notification, route, pieces())
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert status == "SUCCESS"
    assert most < MEMORY
    columns = (dead_letter.c.body, dead_letter.c.reason, dead_letter.c.event_id)
    ((body, reason, held),) = await rows(notification, *columns)
    assert body == b"x" * LARGEST
    assert reason == (
        f"it has {SIZE} bytes, and {LARGEST} are the most (cut off: it has {SIZE} bytes)"
    )
    assert held is None


async def test_a_huge_dead_letter_is_kept_as_it_was_before_the_sidecar_wrapped_it(
    notification: Service,
) -> None:
    begin = wrapped(b'{"id": "an event"' + b" " * 300_000).removesuffix(
        b'", "topic": "x", "type": "y"}'
    )

    assert await delivered(notification, DEAD, pieces(begin)) == "SUCCESS"

    ((body,),) = await rows(notification, dead_letter.c.body)
    assert body == (b'{"id": "an event"' + b" " * 300_000)[:LARGEST]


@pytest.mark.parametrize("more", [0, 1])
async def test_the_largest_event_is_taken_in_from_the_dead_letter_topic_too(
    notification: Service, more: int
) -> None:
    event = {**order_created(), "x": ""}
    event["x"] = "x" * (LARGEST - len(json.dumps(event)) + more)

    status = await delivered(notification, DEAD, wrapped(json.dumps(event).encode()))

    assert status == "SUCCESS"
    assert len(await rows(notification, Notification.id)) == 1 - more
    letters = await rows(notification, dead_letter.c.reason, dead_letter.c.body)
    kept = [(reason[:15], len(body)) for reason, body in letters]
    assert kept == [("it has 65537 by", LARGEST)] * more


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")
async def test_a_huge_delivery_comes_again_where_it_cannot_be_kept(
    notification: Service,
) -> None:
    async with notification.database.write() as session:
        await session.execute(text("ALTER TABLE dead_letter RENAME TO away"))

    assert await delivered(notification, DELIVERED, pieces()) == "RETRY"

    async with notification.database.write() as session:
        await session.execute(text("ALTER TABLE away RENAME TO dead_letter"))
    assert await rows(notification, dead_letter.c.id) == []
