"""The inbox on PostgreSQL, which cannot store all that JSON can say: what it refuses blocks nobody."""

import json
from typing import Any

import pytest

from chassis.inbox.dead_letter import dead_letter
from services.notification.model import Notification
from tests.support.delivering import deliver, order_created, rows, signed
from tests.support.services import Service


@pytest.mark.parametrize("each_database", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"id": "a\0b"}, id="an id with NUL"),
        pytest.param({"dataschema": "a\0b"}, id="a reason with NUL"),
        pytest.param({"traceparent": "a\0b"}, id="a trace with NUL"),
        pytest.param({"traceparent": "x" * 201}, id="a trace that is too long"),
        pytest.param({"aggregateversion": 2**70}, id="a version that is too large"),
        pytest.param({"data": {"customerName": "a\0b"}}, id="a name with NUL"),
        pytest.param(
            {"data": {"createdAt": "0001-01-01T00:00:00+05:00"}},
            id="a time that is none in UTC",
        ),
    ],
)
async def test_what_the_database_cannot_store_is_a_dead_letter(
    notification: Service, changes: dict[str, Any]
) -> None:
    event = order_created()
    data = {**event["data"], **changes.get("data", {})}
    bad = signed({**event, **changes, "data": data})

    assert await deliver(notification, bad) == "SUCCESS"

    (letter,) = await rows(notification, *dead_letter.c)
    assert json.loads(letter.body) == bad
    assert await rows(notification, Notification.id) == []
    assert await deliver(notification, order_created()) == "SUCCESS"
    assert len(await rows(notification, Notification.id)) == 1
