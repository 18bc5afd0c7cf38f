"""The console: a line is printed once its notification is SENT, at most once, and holds nothing up."""

import asyncio
import io
import logging
import sys
import threading
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy.exc import DBAPIError

from services.notification.model import State
from tests.notification.mail_room import JANE, MailRoom
from tests.support.database import break_commits, followed, mend_commits
from tests.support.delivering import deliver_bulk, order_created, signed
from tests.support.services import notification_service
from tests.support.simulated_dapr import SimulatedDapr

ORDER = UUID("0198c0de-0000-7000-8000-000000000001")
LINE = f"Notification for Order {ORDER}: Dear Jane Doe, your order was created at 2026-01-31T08:15:30.123Z.\n"


class Pipe(io.StringIO):
    """A full pipe: whoever writes to it waits until somebody reads."""

    def __init__(self) -> None:
        super().__init__()
        self.read_from = threading.Event()
        self.writes = 0

    def write(self, text: str) -> int:
        """Wait."""
        assert self.read_from.wait(30)
        self.writes += 1
        return super().write(text)


async def test_a_notification_is_sent_with_the_order_and_its_line_is_printed_once(
    room: MailRoom, capfd: pytest.CaptureFixture[str]
) -> None:
    await room.order(None, order=ORDER)
    await followed(room.database)

    notification = await room.of(ORDER)
    assert (notification.state, notification.attempt) == (State.SENT, 1)
    assert notification.sent_at
    assert (notification.due_at, notification.version) == (None, 1)
    assert not await room.dispatcher().step()
    assert room.mailbox.mails == []
    assert await room.published(ORDER) == [("SENT", 1)]
    assert capfd.readouterr().out == LINE


async def test_a_name_from_outside_moves_no_cursor_and_forges_no_line(
    room: MailRoom, capfd: pytest.CaptureFixture[str]
) -> None:
    forged = "Jane\x1b[2J\rNotification for Order 1\n\u202eDoe"

    await room.order(None, order=ORDER, name=forged)
    await followed(room.database)

    (line,) = capfd.readouterr().out.splitlines()
    assert line.isprintable()
    assert line.startswith(f"Notification for Order {ORDER}: Dear Jane\\x1b[2J\\r")


@pytest.mark.usefixtures("each_database")
async def test_events_that_come_together_and_again_are_one_line_each_in_one_write(
    tmp_path: Path, dapr: SimulatedDapr, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = Pipe()
    monkeypatch.setattr(sys, "stdout", pipe)
    events = [order_created() for _ in range(10)]
    *on_console, mailed = events
    mailed = {**mailed, "data": {**mailed["data"], "customerEmail": JANE}}
    dapr.bindings.clear()

    async with notification_service(tmp_path, dapr) as service:
        for _ in range(2):
            statuses = await deliver_bulk(service, *on_console, signed(mailed))
            assert statuses == ["SUCCESS"] * len(events)
        pipe.read_from.set()
        await followed(service.database)

    orders = [line.split()[3].rstrip(":") for line in pipe.getvalue().splitlines()]
    assert orders == [each["subject"] for each in on_console]
    assert pipe.writes == 1


async def test_no_line_is_printed_whose_commit_fails(
    room: MailRoom, capfd: pytest.CaptureFixture[str]
) -> None:
    await break_commits(room.database)

    with pytest.raises(DBAPIError):
        await room.order(None, order=ORDER)

    await mend_commits(room.database)
    await followed(room.database)
    assert await room.all() == []
    assert capfd.readouterr().out == ""
    await room.order(None, order=ORDER)
    await followed(room.database)
    assert capfd.readouterr().out == LINE


async def test_a_name_that_the_terminal_cannot_show_costs_nobody_a_line(
    room: MailRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed = io.BytesIO()
    terminal = io.TextIOWrapper(printed, encoding="latin-1")
    monkeypatch.setattr(sys, "stdout", terminal)

    await room.order(None, name="Zoë 李")
    await followed(room.database)

    assert b"Dear Zo\xeb \\u674e, " in printed.getvalue()


@pytest.mark.parametrize("email", [None, JANE])
async def test_a_print_that_fails_is_logged_and_undoes_nothing(
    room: MailRoom,
    email: str | None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stdout", closed)

    order = await room.order(email)
    if email:
        await room.dispatcher().step()
    await followed(room.database)

    assert (await room.of(order)).state == State.SENT
    (record,) = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert "the commit stands" in record.message
    assert "console.py" in caplog.text


async def test_a_full_pipe_holds_up_nothing_and_what_waits_is_printed_before_the_end(
    room: MailRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = Pipe()
    monkeypatch.setattr(sys, "stdout", pipe)
    orders = [await room.order(None) for _ in range(3)]
    mailed = await room.order()

    await room.dispatcher().step()

    texts = [(await room.of(each)).text for each in [*orders, mailed]]
    assert {each.state for each in await room.all()} == {State.SENT}
    assert pipe.getvalue() == ""
    ending = asyncio.create_task(room.database.close())
    await asyncio.wait([ending], timeout=0.2)
    assert not ending.done()
    pipe.read_from.set()
    await ending
    assert pipe.getvalue().splitlines() == texts


async def test_what_an_older_release_left_ready_is_sent_by_the_dispatcher(
    room: MailRoom, capfd: pytest.CaptureFixture[str]
) -> None:
    await room.order(None, order=ORDER, state=State.READY)

    await room.dispatcher().step()
    await followed(room.database)

    assert (await room.of(ORDER)).state == State.SENT
    assert room.mailbox.mails == []
    assert await room.published(ORDER) == [("SENT", 1)]
    assert capfd.readouterr().out == LINE
