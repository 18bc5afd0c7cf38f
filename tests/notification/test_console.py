"""The console: a line is printed once its notification is SENT, at most once, and holds nothing up."""

import asyncio
import io
import logging
import sys
import threading
from uuid import UUID

import pytest
from sqlalchemy.exc import DBAPIError

from services.notification.console import BATCH
from services.notification.model import State
from tests.notification.mail_room import MailRoom
from tests.support.database import break_commits, mend_commits
from tests.support.eventually import eventually

ORDER = UUID("0198c0de-0000-7000-8000-000000000001")
LINE = f"Notification for Order {ORDER}: Dear Jane Doe, your order was created at 2026-01-31T08:15:30.123Z.\n"


class Pipe(io.StringIO):
    """A full pipe: whoever writes to it waits until somebody reads."""

    def __init__(self) -> None:
        super().__init__()
        self.read_from = threading.Event()

    def flush(self) -> None:
        """Wait."""
        assert self.read_from.wait(15)


async def test_a_notification_is_sent_and_its_line_is_printed_once(
    room: MailRoom, capfd: pytest.CaptureFixture[str]
) -> None:
    await room.order(None, order=ORDER)
    console = room.console()

    assert [await console.step() for _ in range(3)] == [False] * 3

    notification = await room.of(ORDER)
    assert (notification.state, notification.attempt) == (State.SENT, 1)
    assert notification.sent_at
    assert notification.due_at is None
    assert room.mailbox.mails == []
    assert await room.published(ORDER) == [("SENT", 1)]
    assert capfd.readouterr().out == LINE


async def test_a_batch_is_printed_in_order_and_the_rest_with_the_next(
    room: MailRoom, capfd: pytest.CaptureFixture[str]
) -> None:
    orders = [await room.order(None) for _ in range(BATCH + 1)]
    ready = [await room.of(each) for each in orders]
    console = room.console()

    assert [await console.step() for _ in range(3)] == [True, False, False]

    lines = capfd.readouterr().out.splitlines()
    # Ids of the same millisecond are in no order.
    ready.sort(key=lambda each: (each.due_at, each.id))
    batch = sorted(ready[:BATCH], key=lambda each: each.id)
    assert lines == [each.text for each in (*batch, *ready[BATCH:])]


async def test_no_line_is_printed_whose_commit_fails(
    room: MailRoom, capfd: pytest.CaptureFixture[str]
) -> None:
    await room.order(None, order=ORDER)
    console = room.console()
    await break_commits(room.database)

    with pytest.raises(DBAPIError):
        await console.step()

    assert capfd.readouterr().out == ""
    assert (await room.of(ORDER)).state == State.READY
    await mend_commits(room.database)
    await console.step()
    assert capfd.readouterr().out == LINE


@pytest.mark.parametrize("email", [None, "jane@example.org"])
async def test_a_print_that_fails_is_logged_and_undoes_nothing(
    room: MailRoom,
    email: str | None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    order = await room.order(email)
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stdout", closed)

    await (room.dispatcher() if email else room.console()).step()

    assert (await room.of(order)).state == State.SENT
    (record,) = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert "not printed" in record.message


async def test_a_full_pipe_holds_up_neither_the_event_loop_nor_the_database(
    room: MailRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, pipe = await room.order(None), Pipe()
    monkeypatch.setattr(sys, "stdout", pipe)
    printing = asyncio.create_task(room.console().step())

    async def is_sent() -> bool:
        return (await room.of(order)).state == State.SENT

    await eventually(is_sent, "it is sent")
    another = await room.order(None)

    assert (await room.of(another)).state == State.READY
    assert not printing.done()
    pipe.read_from.set()
    await printing


async def test_mails_are_left_to_the_dispatcher(room: MailRoom) -> None:
    order = await room.order()

    await room.console().step()

    assert (await room.of(order)).state == State.READY
