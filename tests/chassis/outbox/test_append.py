"""Appending: an event is stored with the state it is about, signed, and no larger than what can travel."""

import json
from functools import partial
from uuid import UUID, uuid4

import pytest
from sqlalchemy import delete
from sqlalchemy.orm import Session

from chassis.cloud_event import CloudEvent
from chassis.event import Event
from chassis.outbox import append
from chassis.outbox.outbox import MAX_EVENT_BYTES, SIGNAL, EventTooLarge, State, outbox
from chassis.signature import UnsignableData
from tests.chassis.outbox.outboxes import CAUSE, Box, Happened, HappenedQuietly
from tests.support.database import KEYS

SUBJECT = UUID("01890a5d-ac96-774b-bcce-b302099a8057")


def append_one(event: Event, session: Session) -> None:
    """Append an event about the subject."""
    append(session, event, subject=SUBJECT, cause=CAUSE, version=7)


async def test_the_stored_event_is_complete_and_signed(box: Box) -> None:
    await box.database.write(partial(append_one, Happened(content="é")))

    (row,) = await box.rows()
    envelope = CloudEvent.model_validate_json(row.event)
    assert envelope.model_dump_json() == row.event
    assert KEYS.verify(json.loads(row.event))
    assert (row.event_id, row.topic) == (envelope.id, "Happened")
    assert row.size == len(row.event.encode()) > len(row.event)
    assert (envelope.source, envelope.subject) == ("/order", str(SUBJECT))
    assert (envelope.aggregateversion, envelope.traceparent) == (7, CAUSE.trace)
    assert (row.state, row.attempt) == (State.PENDING, 0)


@pytest.mark.parametrize("letter", ["<", ">", "&", "\u2028", "\u2029"])
async def test_what_go_may_escape_to_six_bytes_counts_as_six(
    box: Box, letter: str
) -> None:
    """An event that grows on its way must still be one that consumers accept."""
    await box.append(Happened(content=""), Happened(content=letter * 100))

    empty, full = await box.rows()
    assert full.size - empty.size == 600


async def test_what_is_only_pulled_does_not_wait_for_the_broker(box: Box) -> None:
    await box.append(HappenedQuietly(), Happened())

    assert await box.states() == [State.PULL_ONLY, State.PENDING]
    await box.publish_all()
    assert await box.states() == [State.PULL_ONLY, State.PUBLISHED]


async def test_the_relay_is_woken_by_the_commit(box: Box) -> None:
    await box.fill(1)

    assert box.database.signal(SIGNAL).is_set()


async def test_the_relay_is_not_woken_by_what_is_only_pulled(box: Box) -> None:
    await box.append(HappenedQuietly())

    assert not box.database.signal(SIGNAL).is_set()


async def test_an_event_of_a_unit_that_is_rolled_back_was_never_there(
    box: Box,
) -> None:
    def work(session: Session) -> None:
        append_one(Happened(), session)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await box.database.write(work)

    assert await box.rows() == []
    assert not box.database.signal(SIGNAL).is_set()


async def test_positions_are_never_given_twice(box: Box) -> None:
    await box.fill(2)
    (_, second) = await box.rows()
    await box.database.write(lambda session: session.execute(delete(outbox)))

    await box.fill(1)

    assert [row.position > second.position for row in await box.rows()] == [True]


@pytest.mark.parametrize("letter", ["x", "é", "漢", "\U0001f642"])
async def test_the_largest_event_is_measured_in_bytes_of_utf8(
    box: Box, letter: str
) -> None:
    await box.append(Happened(content=""))
    (empty,) = await box.rows()
    room = (MAX_EVENT_BYTES - empty.size) // len(letter.encode())

    await box.append(Happened(content=letter * room))
    with pytest.raises(EventTooLarge):
        await box.append(Happened(content=letter * (room + 1)))

    largest = (await box.rows())[-1]
    assert MAX_EVENT_BYTES - len(letter.encode()) < largest.size <= MAX_EVENT_BYTES
    assert json.loads(largest.event)["data"]["content"] == letter * room


async def test_an_event_that_is_too_large_is_refused_where_it_is_written_and_changes_nothing(
    box: Box,
) -> None:
    def work(session: Session) -> None:
        append_one(Happened(), session)
        append_one(Happened(content="x" * MAX_EVENT_BYTES), session)

    with pytest.raises(EventTooLarge, match=r"Happened has \d+ bytes; 65536 are"):
        await box.database.write(work)

    assert EventTooLarge.status == 413
    assert await box.rows() == []


@pytest.mark.parametrize("content", [1.5, 2**53, "\ud800"], ids=ascii)
async def test_an_event_that_cannot_be_signed_is_refused_where_it_is_written(
    box: Box, content: object
) -> None:
    with pytest.raises((UnsignableData, ValueError)):
        await box.append(Happened(content=content))

    assert await box.rows() == []


async def test_retries_publish_the_same_bytes(box: Box) -> None:
    await box.append(Happened(content=str(uuid4())))
    (before,) = await box.rows()

    await box.publish_all()

    (after,) = await box.rows()
    assert after.event == before.event
