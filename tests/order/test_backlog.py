"""The backlog limit: while too many events wait for the broker, the service accepts no orders."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from httpx import Response
from sqlalchemy import event, func, select
from sqlalchemy.orm import Session

from chassis.outbox import Backlog, BacklogFull
from chassis.outbox.outbox import State, outbox
from services.order import app as order_app
from services.order.model import Order
from tests.support.database import url_in
from tests.support.eventually import eventually
from tests.support.services import Service, running
from tests.support.simulated_dapr import SimulatedDapr

LIMIT = 2


@pytest.fixture
async def small(
    each_database: None, tmp_path: Path, dapr: SimulatedDapr
) -> AsyncIterator[Service]:
    """Run an order service of which no more than two events may wait."""
    settings = order_app.Settings(
        database_url=url_in(tmp_path, "order"),
        secrets_folder=tmp_path,
        backlog_limit=LIMIT,
    )
    async with running(order_app.create_app(settings, dapr.sidecar())) as service:
        yield service


async def post(service: Service) -> Response:
    """Place an order."""
    return await service.http.post("/api/order", json={"customerName": "Jane Doe"})


async def orders(service: Service) -> int:
    """Count the orders that were accepted."""
    query = select(func.count()).select_from(Order)
    return await service.database.read(lambda session: session.scalar(query) or 0)


async def test_past_the_limit_no_order_is_promised_and_below_it_they_are_again(
    small: Service, dapr: SimulatedDapr
) -> None:
    dapr.available = False

    async def refused() -> Response | None:
        answer = await post(small)
        return answer if answer.status_code == 503 else None

    answer = await eventually(refused, "the limit is reached")
    taken = await orders(small)

    assert answer.json()["type"] == "urn:problem-type:backlog-full"
    assert int(answer.headers["retry-after"]) > 0
    assert taken > LIMIT
    assert (await post(small)).status_code == 503
    assert await orders(small) == taken

    dapr.available = True

    async def accepted() -> bool:
        return (await post(small)).status_code == 201

    await eventually(accepted, "orders are taken again")
    assert await orders(small) == taken + 1


async def test_the_limit_itself_may_wait(small: Service, dapr: SimulatedDapr) -> None:
    dapr.available = False
    for _ in range(LIMIT):
        assert (await post(small)).status_code == 201
    backlog = Backlog(small.database, LIMIT)

    await backlog.check()

    with pytest.raises(BacklogFull, match="More than 1 events wait"):
        await Backlog(small.database, LIMIT - 1).check()


async def test_what_no_longer_waits_for_the_broker_does_not_count(
    small: Service,
) -> None:
    states = [State.PUBLISHED, State.PARKED, State.PULL_ONLY]
    rows = [
        {"event_id": state, "topic": "T", "event": "{}", "size": 2, "state": state}
        for state in states
    ]

    def store(session: Session) -> None:
        session.execute(outbox.insert(), rows)

    await small.database.write(store)

    await Backlog(small.database, 1).check()


async def test_many_requests_within_a_second_count_once(small: Service) -> None:
    backlog, counted = Backlog(small.database, LIMIT), []
    event.listen(
        small.database.engine,
        "before_cursor_execute",
        lambda *each: counted.append(each[2]) if "count(*)" in each[2] else None,
    )

    for _ in range(20):
        await backlog.check()

    # A second may end between two of them; each request counting for itself would make twenty.
    assert len(counted) in {1, 2}
