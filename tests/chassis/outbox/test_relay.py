"""The relay: everything in the outbox reaches the broker, whatever the broker does meanwhile."""

import asyncio
import logging
from itertools import islice
from pathlib import Path

import httpx
import pytest

from chassis.dapr import Sidecar, SidecarUnavailable
from chassis.outbox.leases import MAX_REFUSALS
from chassis.outbox.outbox import MAX_EVENT_BYTES, State
from chassis.outbox.relay import BATCH_BYTES
from tests.chassis.outbox.outboxes import Box, Happened
from tests.support.carried import Carried
from tests.support.eventually import eventually
from tests.support.services import Service, order_service
from tests.support.simulated_dapr import SimulatedDapr, Wire

LARGE = Happened(content="x" * 60_000)


async def test_events_are_published_in_batches_of_a_hundred_and_once_each(
    box: Box, dapr: SimulatedDapr
) -> None:
    ids = await box.fill(250)

    await box.publish_all()

    assert dapr.batches == [100, 100, 50]
    assert [event["id"] for event in dapr.published] == ids
    assert set(await box.states()) == {State.PUBLISHED}


async def test_a_batch_is_bounded_by_its_bytes_too(
    box: Box, dapr: SimulatedDapr
) -> None:
    """daprd reads 4 MiB of a request; what is longer it can never read, and the relay would stand still."""
    ids = await box.append(*[LARGE] * 100)

    await box.relay.step()

    rows = iter(await box.rows())
    sizes = [sum(row.size for row in islice(rows, each)) for each in dapr.batches]
    assert [event["id"] for event in dapr.published] == ids
    assert set(await box.states()) == {State.PUBLISHED}
    assert sum(dapr.batches) == 100
    assert max(sizes) <= BATCH_BYTES
    assert min(sizes[:-1]) > BATCH_BYTES - MAX_EVENT_BYTES


class DiesAfterOneBatch(Wire):
    """The connection to a sidecar that publishes once, and is gone then."""

    def __init__(self, dapr: SimulatedDapr) -> None:
        super().__init__(dapr)
        self._is_gone = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Carry the first call to publish, and refuse every later one."""
        if self._is_gone:
            raise httpx.ConnectError("connection refused", request=request)
        self._is_gone = "/publish/" in request.url.path
        return await super().handle_async_request(request)


async def test_what_was_not_published_of_several_batches_is_released(
    box: Box, dapr: SimulatedDapr
) -> None:
    await box.append(*[LARGE] * 100)
    box.relay.sidecar = Sidecar("", wire=Carried(DiesAfterOneBatch(dapr)))
    with pytest.raises(SidecarUnavailable):
        await box.relay.step()

    (published,) = dapr.batches
    assert await box.states() == [
        *[State.PUBLISHED] * published,
        *[State.PENDING] * (100 - published),
    ]
    assert {row.owner for row in await box.rows()} == {None}
    box.relay.sidecar = dapr.sidecar()
    await box.publish_all()
    assert len(dapr.published) == 100


async def test_an_outage_counts_against_no_event_and_is_probed_with_one(
    box: Box, dapr: SimulatedDapr
) -> None:
    await box.fill(3)
    dapr.available = False

    for _ in range(10):
        with pytest.raises(SidecarUnavailable):
            await box.relay.step()
    dapr.available = True
    await box.publish_all()

    assert dapr.batches == [3, *[1] * 10, 2]
    assert {row.refusals for row in await box.rows()} == {0}
    assert set(await box.states()) == {State.PUBLISHED}


@pytest.mark.usefixtures("always_looking")
async def test_an_event_that_is_refused_alone_is_parked_and_holds_up_nobody(
    box: Box, dapr: SimulatedDapr, caplog: pytest.LogCaptureFixture
) -> None:
    (bad,) = await box.fill(1)
    dapr.refused = {bad}

    for _ in range(MAX_REFUSALS):
        await box.change(due_at=None)
        await box.fill(1)
        await box.relay.step()

    assert await box.states() == [State.PARKED, *[State.PUBLISHED] * MAX_REFUSALS]
    assert (await box.rows())[0].reason == "the broker refused it"
    assert caplog.messages == [
        f"event {bad} is parked after 5 refusals: the broker refused it"
    ]


async def test_a_malformed_event_does_not_take_its_batch_with_it(
    box: Box, dapr: SimulatedDapr
) -> None:
    await box.fill(1)
    await box.change(event="{")
    good = await box.fill(2)

    await box.relay.step()

    assert [event["id"] for event in dapr.published] == good
    assert await box.states() == [State.PENDING, State.PUBLISHED, State.PUBLISHED]
    assert (await box.rows())[0].refusals == 1


async def test_a_probe_takes_the_event_that_was_tried_least(
    box: Box, dapr: SimulatedDapr
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


@pytest.mark.usefixtures("each_database")
async def test_what_a_dead_process_had_leased_is_published_by_the_next(
    tmp_path: Path, dapr: SimulatedDapr
) -> None:
    box = Box(tmp_path, dapr)
    (event_id,) = await box.fill(1)
    # The port of its sidecar names the process that was there before on PostgreSQL; on SQLite any was.
    owner = f"{box.database.owner}3500" if box.database.is_shared else "gone"
    await box.lease(owner)
    await box.database.close()

    async with order_service(tmp_path, dapr):

        async def published() -> bool:
            return [event["id"] for event in dapr.published] == [event_id]

        await eventually(
            published, "the event of the dead process is published", deadline=10
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


async def test_an_outage_is_logged_once_and_its_end_too(
    order: Service, dapr: SimulatedDapr, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "chassis.runtime.loop")
    dapr.available = False
    await order.http.post("/api/order", json={"customerName": "Jane"})

    async def tried_often() -> bool:
        return len(dapr.batches) >= 3

    await eventually(tried_often, "the relay tries again")
    dapr.available = True

    async def published() -> bool:
        return len(dapr.published) == 1 and len(logged()) >= 2

    def logged() -> list[str]:
        messages = [record.getMessage() for record in caplog.records]
        return [each for each in messages if each.startswith("relay ")]

    await eventually(published, "the event is published")
    outage, end = logged()
    assert outage.startswith("relay failed, retrying: SidecarUnavailable: the broker")
    assert end.startswith("relay recovered after ")
