"""What a process stores while its relay works is leased already and published from memory, and is not lost."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import PoolProxiedConnection, event
from sqlalchemy.orm import Session

from chassis.dapr import SidecarUnavailable
from chassis.database.transient import CommitFailed
from chassis.outbox import append
from chassis.outbox.leases import LOST
from chassis.outbox.outbox import LEASE, MOST_QUEUED, State
from tests.chassis.outbox.outboxes import CAUSE, Box, Happened
from tests.support.eventually import eventually
from tests.support.simulated_dapr import SimulatedDapr

LANE = "commands"


@pytest.fixture
async def box(box: Box) -> Box:
    """Return an outbox whose relay has found that the table holds nothing more."""
    await box.relay.step()
    return box


@contextmanager
def statements(box: Box) -> Iterator[list[str]]:
    """Write down the first word of each statement, and each commit."""
    found: list[str] = []

    def executed(*arguments: Any) -> None:  # noqa: ANN401 - SQLAlchemy's six
        found.append(arguments[2].split()[0])

    def committed(_: object) -> None:
        found.append("COMMIT")

    engine = box.database.engine
    with (
        listening(engine, "before_cursor_execute", executed),
        listening(engine, "commit", committed),
    ):
        yield found


@contextmanager
def listening(target: object, name: str, act: Callable[..., None]) -> Iterator[None]:
    """Call `act` at each event of this name."""
    event.listen(target, name, act)
    try:
        yield
    finally:
        event.remove(target, name, act)


def append_one(session: Session) -> None:
    """Append an event."""
    append(session, Happened(), subject=uuid4(), cause=CAUSE)


def ids(dapr: SimulatedDapr) -> list[str]:
    """Return the id of each event that was published, as often as it was."""
    return [each["id"] for each in dapr.published]


async def test_an_event_is_stored_leased_and_published_from_memory(
    box: Box, dapr: SimulatedDapr
) -> None:
    before = datetime.now(UTC)
    appended = await box.fill(1)

    (row,) = await box.rows()
    assert (row.state, row.owner) == (State.LEASED, box.relay.owner)
    assert before + LEASE <= row.lease_until <= datetime.now(UTC) + LEASE
    with statements(box) as found:
        assert not await box.relay.step()
    assert [each for each in found if each != "BEGIN"] == ["UPDATE", "COMMIT"]
    assert ids(dapr) == appended
    assert await box.states() == [State.PUBLISHED]


async def test_a_relay_that_finds_nothing_writes_nothing(box: Box) -> None:
    with statements(box) as found:
        await box.relay.step()

    assert found[-1] == "SELECT"
    assert "COMMIT" not in found


async def test_what_is_rolled_back_is_not_published(
    box: Box, dapr: SimulatedDapr
) -> None:
    def work(session: Session) -> None:
        append_one(session)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await box.database.write(work)
    await box.publish_all()

    assert ids(dapr) == []


async def test_what_a_unit_stored_that_ran_again_is_published_once(
    box: Box, dapr: SimulatedDapr
) -> None:
    def fail(_: Session) -> None:
        raise ZeroDivisionError

    works = (box.database.write(work, LANE) for work in (append_one, fail))
    results = await asyncio.gather(*works, return_exceptions=True)
    await box.publish_all()

    assert isinstance(results[1], ZeroDivisionError)
    (row,) = await box.rows()
    assert ids(dapr) == [row.event_id]


async def test_past_so_many_in_memory_events_wait_in_the_table_until_it_is_empty(
    box: Box, dapr: SimulatedDapr
) -> None:
    appended = await box.fill(MOST_QUEUED) + await box.fill(1)
    assert await box.states() == [*[State.LEASED] * MOST_QUEUED, State.PENDING]

    while len(dapr.published) < MOST_QUEUED:
        await box.relay.step()
    appended += await box.fill(1)
    assert (await box.states())[-1] == State.PENDING
    await box.publish_all()

    assert ids(dapr) == appended
    await box.fill(1)
    assert (await box.states())[-1] == State.LEASED


@pytest.mark.usefixtures("always_looking")
async def test_what_waits_in_the_table_is_found_however_much_comes_from_memory(
    box: Box,
) -> None:
    await box.fill(1)
    await box.change(state=State.PENDING, due_at=datetime.now(UTC))
    await box.fill(1)

    await box.relay.step()

    assert await box.states() == [State.PUBLISHED] * 2


@pytest.mark.usefixtures("always_looking")
@pytest.mark.parametrize("waited", [2 * LOST, LEASE], ids=["long", "past its lease"])
async def test_what_waits_in_memory_for_long_is_published_once(
    box: Box, dapr: SimulatedDapr, waited: timedelta
) -> None:
    appended = await box.fill(2)
    await box.change(lease_until=datetime.now(UTC) + LEASE - waited)

    await box.publish_all()

    assert ids(dapr) == appended
    assert dapr.batches == [2]
    assert await box.states() == [State.PUBLISHED] * 2


async def test_in_trouble_what_waits_in_memory_is_released_and_what_comes_is_not_leased(
    box: Box, dapr: SimulatedDapr
) -> None:
    await box.fill(1)
    dapr.available = False
    dapr.answering.clear()
    step = asyncio.create_task(box.relay.step())

    async def is_asked() -> bool:
        return bool(dapr.asked)

    await eventually(is_asked, "the sidecar is asked")
    await box.fill(1)
    assert await box.states() == [State.LEASED] * 2
    dapr.answering.set()
    with pytest.raises(SidecarUnavailable):
        await step

    await box.fill(1)
    assert await box.states() == [State.PENDING] * 3
    dapr.available = True
    await box.publish_all()
    assert await box.states() == [State.PUBLISHED] * 3
    assert len(ids(dapr)) == 3
    await box.fill(1)
    assert (await box.states())[-1] == State.LEASED


async def test_what_is_being_stored_when_trouble_begins_is_published_once(
    box: Box, dapr: SimulatedDapr
) -> None:
    is_leased, may_end = threading.Event(), threading.Event()

    def work(session: Session) -> None:
        append_one(session)
        is_leased.set()
        assert may_end.wait(30)

    await box.fill(1)
    dapr.available = False
    storing = asyncio.create_task(box.database.write(work))
    await asyncio.to_thread(is_leased.wait, 30)
    step = asyncio.create_task(box.relay.step())
    if not box.database.is_shared:  # its one writer releases after this one
        may_end.set()
    with pytest.raises(SidecarUnavailable):
        await step
    may_end.set()
    await storing
    dapr.available = True

    await box.publish_all()

    assert await box.states() == [State.PUBLISHED] * 2
    assert len(ids(dapr)) == 2


async def test_after_an_error_of_the_database_nothing_is_leased_until_a_step_succeeds(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_: object) -> None:
        raise CommitFailed

    await box.fill(1)
    with monkeypatch.context() as patched:
        patched.setattr(box.database, "write", fail)
        with pytest.raises(CommitFailed):
            await box.relay.step()

    await box.fill(1)

    assert await box.states() == [State.LEASED, State.PENDING]
    await box.publish_all()
    assert await box.states() == [State.PUBLISHED] * 2


async def test_what_was_committed_and_reported_as_failed_is_published_soon(
    box: Box, dapr: SimulatedDapr, monkeypatch: pytest.MonkeyPatch
) -> None:
    dialect = box.database.engine.dialect
    commit = dialect.do_commit

    def and_fail(connection: PoolProxiedConnection) -> None:
        commit(connection)
        raise CommitFailed

    with monkeypatch.context() as patched:
        patched.setattr(dialect, "do_commit", and_fail)
        with pytest.raises(CommitFailed):
            await box.database.write(append_one)
    await box.publish_all()
    # It may be another thread's that is about to hand it on.
    assert await box.states() == [State.LEASED]

    await box.change(lease_until=datetime.now(UTC) + LEASE - LOST)
    await box.publish_all()

    assert await box.states() == [State.PUBLISHED]
    assert len(ids(dapr)) == 1


async def test_what_a_process_did_not_publish_that_died_is_published_by_the_next(
    box: Box, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    appended = await box.fill(1)
    after = Box(tmp_path, dapr)

    await after.relay.release_own()
    await after.publish_all()

    assert ids(dapr) == appended
    await after.database.close()


async def test_what_another_process_stored_leased_is_published_when_its_lease_ends(
    box: Box, tmp_path: Path, dapr: SimulatedDapr
) -> None:
    appended = await box.fill(1)
    await box.change(owner="another")
    box.relay.queue.events.clear()

    await box.change(lease_until=datetime.now(UTC) + timedelta(seconds=1))
    await box.publish_all()
    assert ids(dapr) == []
    await box.change(lease_until=datetime.now(UTC))
    await box.publish_all()

    assert ids(dapr) == appended


async def test_a_relay_that_stops_releases_what_it_has_not_published(
    box: Box, dapr: SimulatedDapr
) -> None:
    dapr.answering.clear()
    loop = box.relay.loop()
    running = asyncio.create_task(loop.run())

    async def is_publishing() -> bool:
        return bool(dapr.asked)

    async def is_stopping() -> bool:
        return loop._stopping.is_set()

    async def is_leased() -> bool:
        await box.fill(1)
        return (await box.states())[-1] == State.LEASED

    await eventually(is_leased, "the relay works")
    await eventually(is_publishing, "the sidecar is asked")
    await box.fill(1)
    stopping = asyncio.create_task(loop.stop(running))
    await eventually(is_stopping, "the loop stops")
    dapr.answering.set()
    await stopping

    states = await box.states()
    assert states[-1] == State.PENDING
    assert {*states} == {State.PUBLISHED, State.PENDING}
    await box.fill(1)
    assert (await box.states())[-1] == State.PENDING
