"""The relay: everything in the outbox reaches the broker, whatever the broker does meanwhile."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Row, select, update

from chassis.dapr.sidecar import SidecarUnavailable
from chassis.outbox import relay
from chassis.outbox.outbox import State, outbox
from chassis.outbox.relay import Relay, claim
from chassis.runtime.clock import CLOCKS_APART
from services.order.commands.create_order import CreateOrder, create_order
from tests.support.database import migrated
from tests.support.eventually import eventually
from tests.support.services import Service, order_service
from tests.support.simulated_dapr import SimulatedDapr

CAUSE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

pytestmark = pytest.mark.usefixtures("each_database")


class Outbox:
    """An outbox with a relay that takes the steps that a test tells it to."""

    def __init__(self, folder: Path, dapr: SimulatedDapr) -> None:
        self.database = migrated("order", folder)
        self.relay = Relay(self.database, dapr.sidecar(), "pubsub")

    async def fill(self, events: int) -> list[str]:
        """Place so many orders; give their events' ids."""
        async with self.database.write() as session:
            for _ in range(events):
                await create_order(CreateOrder(customerName="Jane"), session, CAUSE)
        return [row.event_id for row in await self.rows()][-events:]

    async def rows(self) -> list[Row[Any]]:
        """Give all rows, oldest first."""
        async with self.database.read() as session:
            return list(
                (
                    await session.execute(select(outbox).order_by(outbox.c.position))
                ).all()
            )

    async def states(self) -> list[str]:
        """Give the state of each row, oldest first."""
        return [row.state for row in await self.rows()]

    async def change(self, **values: object) -> None:
        """Change all rows."""
        async with self.database.write() as session:
            await session.execute(update(outbox).values(**values))


@pytest.fixture
async def box(tmp_path: Path, dapr: SimulatedDapr) -> Any:  # noqa: ANN401 - pytest unwraps it
    """Make an outbox, and close it."""
    made = Outbox(tmp_path, dapr)
    yield made
    await made.database.close()


async def test_events_leave_in_batches_of_a_hundred_and_once_each(
    box: Outbox, dapr: SimulatedDapr
) -> None:
    ids = await box.fill(250)

    while await box.relay.step():
        pass

    assert dapr.batches == [100, 100, 50]
    assert [event["id"] for event in dapr.published] == ids
    assert set(await box.states()) == {State.PUBLISHED}


async def test_an_outage_counts_against_no_event_and_is_probed_with_one(
    box: Outbox, dapr: SimulatedDapr
) -> None:
    await box.fill(3)
    dapr.available = False

    for _ in range(10):
        with pytest.raises(SidecarUnavailable):
            await box.relay.step()
    dapr.available = True
    while await box.relay.step():
        pass

    assert dapr.batches == [3, *[1] * 10, 2]
    assert {row.refusals for row in await box.rows()} == {0}
    assert set(await box.states()) == {State.PUBLISHED}


async def test_an_event_that_is_refused_alone_is_parked_and_holds_nobody_up(
    box: Outbox, dapr: SimulatedDapr
) -> None:
    dapr.refused = {(await box.fill(1))[0]}

    for _ in range(relay.REFUSALS):
        await box.change(due_at=None)
        await box.fill(1)
        await box.relay.step()

    assert await box.states() == [State.PARKED, *[State.PUBLISHED] * relay.REFUSALS]
    assert (await box.rows())[0].reason == "the broker refused it"


async def test_a_malformed_event_does_not_take_its_batch_with_it(
    box: Outbox, dapr: SimulatedDapr
) -> None:
    await box.fill(1)
    await box.change(event="{")
    good = await box.fill(2)

    await box.relay.step()

    assert [event["id"] for event in dapr.published] == good
    assert await box.states() == [State.PENDING, State.PUBLISHED, State.PUBLISHED]
    assert (await box.rows())[0].refusals == 1


async def test_a_probe_takes_the_event_that_was_tried_least(
    box: Outbox, dapr: SimulatedDapr
) -> None:
    (bad,) = await box.fill(1)
    (good,) = await box.fill(1)
    dapr.refused = {bad, good}
    for _ in range(2):
        with pytest.raises(SidecarUnavailable):
            await box.relay.step()

    dapr.refused = {bad}
    await box.relay.step()

    assert [event["id"] for event in dapr.published] == [good]


async def test_a_relay_whose_lease_ran_out_marks_nothing(box: Outbox) -> None:
    await box.fill(1)
    async with box.database.write() as session:
        late = await claim(session, box.relay.owner, probing=False)
    await box.change(lease_until=datetime.now(UTC) - timedelta(seconds=1))
    async with box.database.write() as session:
        (taken,) = await claim(session, "another relay", probing=False)

    await box.relay._mark(late, {})

    (row,) = await box.rows()
    assert (row.state, row.owner, row.attempt) == (
        State.LEASED,
        "another relay",
        taken.attempt,
    )


async def test_a_relay_marks_nothing_that_another_holds_at_the_same_attempt(
    box: Outbox,
) -> None:
    await box.fill(1)
    async with box.database.write() as session:
        mine = await claim(session, box.relay.owner, probing=False)
    await box.change(owner="another relay")

    await box.relay._mark(mine, {})

    (row,) = await box.rows()
    assert (row.state, row.owner) == (State.LEASED, "another relay")


@pytest.mark.parametrize(
    "lease",
    [
        pytest.param(timedelta(seconds=-1), id="over"),
        pytest.param(
            relay.LEASE + CLOCKS_APART + timedelta(minutes=1), id="clock set back"
        ),
    ],
)
async def test_a_lease_that_is_over_is_taken_by_the_next(
    box: Outbox, lease: timedelta
) -> None:
    await box.fill(1)
    await box.change(
        state=State.LEASED,
        owner="gone",
        attempt=1,
        lease_until=datetime.now(UTC) + lease,
    )

    assert await box.relay.step()

    assert await box.states() == [State.PUBLISHED]


async def test_what_a_dead_process_had_claimed_is_published_by_the_next(
    tmp_path: Path, dapr: SimulatedDapr
) -> None:
    box = Outbox(tmp_path, dapr)
    (event_id,) = await box.fill(1)
    async with box.database.write() as session:
        # The port of its sidecar names the process that was there before on PostgreSQL.
        await claim(session, f"{box.database.owner}3500", probing=False)
    await box.database.close()

    async with order_service(tmp_path, dapr):

        async def published() -> bool:
            return [event["id"] for event in dapr.published] == [event_id]

        await eventually(
            published, "the event of the dead process is published", deadline=5
        )


async def test_a_sidecar_that_does_not_answer_does_not_hold_up_orders(
    order: Service, dapr: SimulatedDapr
) -> None:
    dapr.answering.clear()

    async with asyncio.timeout(5):  # a call to the sidecar may take ten
        answers = [
            await order.http.post("/api/order", json={"customerName": "Jane"})
            for _ in range(5)
        ]

    assert [answer.status_code for answer in answers] == [201] * 5
    assert dapr.published == []
    dapr.answering.set()

    async def all_published() -> bool:
        return len(dapr.published) == 5

    await eventually(all_published, "all five are published")


async def test_trouble_is_said_once_and_its_end_too(
    order: Service, dapr: SimulatedDapr, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "chassis.loop")
    dapr.available = False
    await order.http.post("/api/order", json={"customerName": "Jane"})

    async def tried_often() -> bool:
        return len(dapr.batches) >= 3

    await eventually(tried_often, "the relay tries again")
    dapr.available = True

    async def published() -> bool:
        return len(dapr.published) == 1 and len(said()) >= 2

    def said() -> list[str]:
        messages = [record.getMessage() for record in caplog.records]
        return [each for each in messages if each.startswith("relay: ")]

    await eventually(published, "the event is published")
    trouble, relief = said()
    assert trouble.startswith("relay: SidecarUnavailable: the broker takes nothing")
    assert relief.startswith("relay: works again after")
