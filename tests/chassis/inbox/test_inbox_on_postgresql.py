"""The inbox on PostgreSQL, which cannot keep all that JSON can say: what it refuses blocks nobody."""

import json
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any

import pytest
from sqlalchemy import select

from chassis.database import migrate as migration
from chassis.database.unit_of_work import Database
from chassis.inbox.dead_letter import dead_letter
from chassis.inbox.inbox import Status, take_in
from services.notification.model import Notification
from services.notification.reactions.notify_customer_on_order_created import reaction
from tests.support.feeds import order_created
from tests.support.postgresql import Databases


@pytest.fixture
def url(databases: Databases) -> Iterator[str]:
    """Make a database on the session's PostgreSQL."""
    template = databases.template(
        "notification", partial(migration.upgrade, "notification")
    )
    with databases.fresh(template) as fresh:
        yield fresh


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    """Make the notification service's database."""
    made = Database(url, "notification")
    yield made
    await made.close()


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
async def test_what_the_database_cannot_keep_is_a_dead_letter(
    database: Database, changes: dict[str, Any]
) -> None:
    event = order_created()[1].model_dump(mode="json")
    bad = {**event, **changes, "data": {**event["data"], **changes.get("data", {})}}

    assert await take_in(database, reaction, json.dumps(bad).encode()) == Status.SUCCESS

    async with database.read() as session:
        (letter,) = (await session.execute(select(dead_letter))).all()
        assert json.loads(letter.body) == bad
        assert (await session.execute(select(Notification))).all() == []
    assert await take_in(database, reaction, json.dumps(event).encode()) == "SUCCESS"
