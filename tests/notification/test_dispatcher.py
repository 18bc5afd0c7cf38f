"""The dispatcher: claimed before it leaves, marked by who sent it, printed once, after that is committed."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy.exc import DBAPIError

from chassis.runtime.clock import CLOCKS_APART
from services.notification.dispatcher import Dispatcher
from services.notification.model import Channel, Notification, State
from services.notification.outcomes import (
    LEASE,
    LONGEST_WAIT,
    Policy,
    claim,
    fence,
    mark_sent,
)
from tests.notification.mail_room import JANE, MailRoom
from tests.support.database import break_commits, mend_commits

ORDER = UUID("0198c0de-0000-7000-8000-000000000001")
LINE = f"Notification for Order {ORDER}: Dear Jane Doe, your order was created at 2026-01-31T08:15:30.123Z.\n"


@dataclass(frozen=True)
class Gate:
    """A way to customers that lets nothing pass until it is opened."""

    reached: asyncio.Event = field(default_factory=asyncio.Event)
    opened: asyncio.Event = field(default_factory=asyncio.Event)

    def dispatcher(self, room: MailRoom) -> Dispatcher:
        """Make a dispatcher of mails that sends this way."""
        return Dispatcher(room.database, Channel.EMAIL, self)

    async def is_keyed(self) -> bool:
        """Tell that nothing is known again."""
        return False

    async def deliver(self, _notification: Notification) -> None:
        """Wait."""
        self.reached.set()
        await self.opened.wait()


BOTH = pytest.mark.parametrize("email", [None, JANE])


@BOTH
async def test_a_notification_is_sent_and_its_line_is_printed_once(
    room: MailRoom, capfd: pytest.CaptureFixture[str], email: str | None
) -> None:
    await room.is_asked(email, order=ORDER)
    sending = room.mailing() if email else room.printing()

    assert [await sending.step() for _ in range(3)] == [True, False, False]

    notification = await room.of(ORDER)
    assert notification.state == State.SENT
    assert notification.sent_at
    assert len(room.mailbox.mails) == (1 if email else 0)
    assert capfd.readouterr().out == LINE


@BOTH
async def test_nothing_is_printed_before_sent_is_committed(
    room: MailRoom, capfd: pytest.CaptureFixture[str], email: str | None
) -> None:
    await room.is_asked(email, order=ORDER)
    sending = room.mailing() if email else room.printing()

    async with room.without_events():
        with pytest.raises(DBAPIError):
            await sending.step()
        assert capfd.readouterr().out == ""
        assert (await room.of(ORDER)).state == State.SENDING

    await sending.step()
    assert capfd.readouterr().out == LINE
    assert await room.said(ORDER) == [("SENT", 1)]
    assert len(room.mailbox.mails) == (1 if email else 0)


async def test_no_line_is_printed_whose_commit_fails(
    room: MailRoom, capfd: pytest.CaptureFixture[str]
) -> None:
    await room.is_asked(None, order=ORDER)
    printing = room.printing()
    await break_commits(room.database)

    with pytest.raises(DBAPIError):
        await printing.step()

    assert capfd.readouterr().out == ""
    assert (await room.of(ORDER)).state == State.SENDING
    await mend_commits(room.database)
    await printing.step()
    assert capfd.readouterr().out == LINE


async def test_what_was_sent_is_sent_and_is_said_once(room: MailRoom) -> None:
    order = await room.is_asked()
    async with room.database.write() as session:
        claimed = await claim(session, "me", Channel.EMAIL, 1)
        assert len(await mark_sent(session, fence("me", claimed))) == 1

        assert await mark_sent(session, fence("me", claimed)) == []

    assert await room.said(order) == [("SENT", 1)]


async def test_a_notification_is_committed_as_sending_before_it_leaves(
    room: MailRoom, capfd: pytest.CaptureFixture[str]
) -> None:
    order, gate = await room.is_asked(), Gate()
    leaving = asyncio.create_task(gate.dispatcher(room).step())

    await asyncio.wait_for(gate.reached.wait(), 15)

    assert (await room.of(order)).state == State.SENDING
    gate.opened.set()
    assert await leaving
    assert len(capfd.readouterr().out.splitlines()) == 1


@BOTH
async def test_what_a_dead_process_was_sending_is_settled_by_the_next(
    room: MailRoom, email: str | None
) -> None:
    order = await room.is_asked(email)
    channel = Channel.EMAIL if email else Channel.CONSOLE
    async with room.database.write() as session:
        await claim(session, room.database.owner, channel, 1)
    after = room.mailing() if email else room.printing()

    await after.reclaim()

    # Nothing was seen on a console before SENT; of a mail nobody knows.
    state, said = (State.UNKNOWN, [("UNKNOWN", 1)]) if email else (State.READY, [])
    assert (await room.of(order)).state == state
    assert await room.said(order) == said
    await room.time_passes()
    await after.step()
    assert await room.said(order) == [*said, ("SENT", len(said) + 1)]


@pytest.mark.parametrize(
    ("policy", "settled"), [("resend", "UNKNOWN"), ("hold", "HELD")]
)
async def test_a_late_answer_counts_until_it_is_tried_again(
    room: MailRoom, policy: Policy, settled: str
) -> None:
    order = await room.is_asked()
    async with room.database.write() as session:
        claimed = await claim(session, room.database.owner, Channel.EMAIL, 1)
    await room.mailing(policy).reclaim()

    async with room.database.write() as session:
        late = await mark_sent(session, fence(room.database.owner, claimed))

    assert [each.order_id for each in late] == [order]
    assert await room.said(order) == [(settled, 1), ("SENT", 2)]
    await room.time_passes()
    await room.mailing().step()
    assert room.mailbox.mails == []


@pytest.mark.parametrize("owner", ["the first", "the second"])
async def test_a_late_answer_does_not_count_when_it_is_being_tried_again(
    room: MailRoom, owner: str
) -> None:
    order = await room.is_asked()
    async with room.database.write() as session:
        first = await claim(session, "the first", Channel.EMAIL, 1)
    await room.set(state=State.UNKNOWN)
    async with room.database.write() as session:
        second = await claim(session, owner, Channel.EMAIL, 1)
        assert await mark_sent(session, fence("the first", first)) == []
        assert len(await mark_sent(session, fence(owner, second))) == 1

    assert await room.said(order) == [("SENT", 1)]


async def test_the_answer_of_another_owner_does_not_count(room: MailRoom) -> None:
    await room.is_asked()

    async with room.database.write() as session:
        claimed = await claim(session, "the owner", Channel.EMAIL, 1)
        assert await mark_sent(session, fence("another", claimed)) == []


async def test_what_is_not_due_waits_and_the_others_do_not(room: MailRoom) -> None:
    waits = await room.is_asked()
    await room.set(due_at=datetime.now(UTC) + LONGEST_WAIT - timedelta(seconds=30))
    goes = await room.is_asked("ann@example.org")
    mailing = room.mailing()

    assert [await mailing.step(), await mailing.step()] == [True, False]

    assert (await room.of(waits)).state == State.READY
    assert (await room.of(goes)).state == State.SENT


async def test_what_is_due_when_the_clock_was_ahead_is_due_now(room: MailRoom) -> None:
    order = await room.is_asked()
    await room.set(due_at=datetime.now(UTC) + timedelta(days=365))

    await room.mailing().step()

    assert (await room.of(order)).state == State.SENT


@pytest.mark.parametrize(
    "until",
    [
        pytest.param(timedelta(seconds=-1), id="has ended"),
        pytest.param(
            LEASE + CLOCKS_APART + timedelta(minutes=1),
            id="was made when the clock was ahead",
        ),
    ],
)
async def test_a_claim_that_nobody_answers_for_is_settled(
    room: MailRoom, until: timedelta
) -> None:
    order = await room.is_asked()
    await room.set(state=State.SENDING, sending_until=datetime.now(UTC) + until)

    await room.mailing(owner="another").step()

    assert await room.said(order) == [("UNKNOWN", 1)]


@pytest.mark.parametrize("left", [LEASE / 2, LEASE + CLOCKS_APART])
async def test_a_claim_that_still_holds_is_left_alone(
    room: MailRoom, left: timedelta
) -> None:
    """Also of a replica whose clock is a little ahead."""
    order = await room.is_asked()
    await room.set(state=State.SENDING, sending_until=datetime.now(UTC) + left)

    assert not await room.mailing(owner="another").step()

    assert (await room.of(order)).state == State.SENDING
    assert await room.said(order) == []


async def test_a_slow_mail_server_does_not_hold_up_the_console(room: MailRoom) -> None:
    await room.is_asked()
    order, gate = await room.is_asked(None), Gate()
    mailing = asyncio.create_task(gate.dispatcher(room).step())
    await asyncio.wait_for(gate.reached.wait(), 15)

    await room.printing().step()

    assert (await room.of(order)).state == State.SENT
    assert not mailing.done()
    gate.opened.set()
    await mailing
