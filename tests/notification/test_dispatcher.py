"""The dispatcher: a mail is claimed before it leaves, marked by who sent it, and printed after that commits."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy.exc import DBAPIError

from chassis.runtime.clock import CLOCKS_APART
from services.notification.channels import Mail
from services.notification.dispatcher import Dispatcher
from services.notification.model import Notification, State
from services.notification.outcomes import LEASE, LONGEST_WAIT, Policy
from tests.notification.mail_room import MailRoom, attempt
from tests.support.database import execute, followed, refuses
from tests.support.mail_server import Act

ORDER = UUID("0198c0de-0000-7000-8000-000000000001")
LINE = f"Notification for Order {ORDER}: Dear Jane Doe, your order was created at 2026-01-31T08:15:30.123Z.\n"


class Gate(Mail):
    """A way out that lets no mail pass until it is opened."""

    def __init__(self) -> None:
        self.reached, self.opened = asyncio.Event(), asyncio.Event()

    def dispatcher(self, room: MailRoom) -> Dispatcher:
        """Return a dispatcher that sends through it."""
        return Dispatcher(room.database, self)

    async def is_keyed(self) -> bool:
        """Return that nothing is deduplicated."""
        return False

    async def deliver(self, _notification: Notification) -> None:
        """Wait."""
        self.reached.set()
        await self.opened.wait()


class Breaking(Mail):
    """A way out; while a mail is on it, the database stops storing what becomes of mails."""

    def __init__(self, room: MailRoom) -> None:
        super().__init__(room.sidecar, "email", "shop@example.org")
        self._room = room

    async def deliver(self, notification: Notification) -> None:
        """Break the database, then send."""
        await refuses(self._room.database, "UPDATE", "notification")
        await super().deliver(notification)


async def test_a_mail_is_sent_and_its_line_is_printed_once(
    room: MailRoom, capfd: pytest.CaptureFixture[str]
) -> None:
    await room.order(order=ORDER)
    dispatcher = room.dispatcher()

    assert [await dispatcher.step() for _ in range(3)] == [True, False, False]
    await followed(room.database)

    notification = await room.of(ORDER)
    assert notification.state == State.SENT
    assert notification.sent_at
    assert notification.due_at is None
    assert len(room.mailbox.mails) == 1
    assert capfd.readouterr().out == LINE


async def test_nothing_is_printed_before_sent_is_committed_and_no_mail_is_sent_again(
    room: MailRoom, capfd: pytest.CaptureFixture[str]
) -> None:
    await room.order(order=ORDER)
    dispatcher = room.dispatcher()

    async with room.without_events():
        with pytest.raises(DBAPIError):
            await dispatcher.step()
        await followed(room.database)
        assert capfd.readouterr().out == ""
        assert (await room.of(ORDER)).state == State.SENDING

    await dispatcher.step()
    await followed(room.database)
    assert capfd.readouterr().out == LINE
    assert await room.published(ORDER) == [("SENT", 1)]
    assert len(room.mailbox.mails) == 1


@pytest.mark.parametrize(
    ("act", "state"),
    [
        (Act("421 bye"), State.READY),
        (Act("450 busy"), State.READY),
        (Act("550 no"), State.FAILED),
    ],
)
async def test_a_refusal_that_could_not_be_stored_is_stored_later_and_leaves_no_doubt(
    room: MailRoom, act: Act, state: State
) -> None:
    order, dispatcher = await room.order(), room.dispatcher()
    room.mailbox.acts["RCPT"] = act
    working, dispatcher.mail = dispatcher.mail, Breaking(room)
    with pytest.raises(DBAPIError, match="there is no room"):
        await dispatcher.step()

    dispatcher.mail = working
    on_table = " ON notification" if room.database.is_shared else ""
    await execute(room.database, f"DROP TRIGGER refuse{on_table}")
    await attempt(dispatcher)

    assert (await room.of(order)).state == state
    assert "UNKNOWN" not in [word for word, _ in await room.published(order)]


async def test_what_was_sent_is_marked_and_published_once(room: MailRoom) -> None:
    order = await room.order()
    claimed = await room.claimed("me")

    assert await room.marked_sent("me", claimed) == [order]
    assert await room.marked_sent("me", claimed) == []

    assert await room.published(order) == [("SENT", 1)]


async def test_a_mail_is_committed_as_sending_before_it_leaves(
    room: MailRoom, capfd: pytest.CaptureFixture[str]
) -> None:
    order, gate = await room.order(), Gate()
    leaving = asyncio.create_task(gate.dispatcher(room).step())

    await asyncio.wait_for(gate.reached.wait(), 15)

    assert (await room.of(order)).state == State.SENDING
    gate.opened.set()
    assert await leaving
    await followed(room.database)
    assert len(capfd.readouterr().out.splitlines()) == 1


async def test_a_mail_that_a_dead_process_was_sending_is_unknown_to_the_next(
    room: MailRoom,
) -> None:
    order = await room.order()
    await room.claimed()
    after = room.dispatcher()

    await after.reclaim()

    assert (await room.of(order)).state == State.UNKNOWN
    assert await room.published(order) == [("UNKNOWN", 1)]
    await room.time_passes()
    await after.step()
    assert await room.published(order) == [("UNKNOWN", 1), ("SENT", 2)]


@pytest.mark.parametrize(
    ("policy", "settled"), [("resend", "UNKNOWN"), ("hold", "HELD")]
)
async def test_a_late_result_counts_until_the_mail_is_tried_again(
    room: MailRoom, policy: Policy, settled: str
) -> None:
    order = await room.order()
    claimed = await room.claimed()
    await room.dispatcher(policy).reclaim()

    assert await room.marked_sent(room.database.owner, claimed) == [order]

    assert await room.published(order) == [(settled, 1), ("SENT", 2)]
    await room.time_passes()
    await room.dispatcher().step()
    assert room.mailbox.mails == []


@pytest.mark.parametrize("owner", ["the first", "the second"])
async def test_a_late_result_does_not_count_while_the_mail_is_tried_again(
    room: MailRoom, owner: str
) -> None:
    order = await room.order()
    first = await room.claimed("the first")
    await room.set(state=State.UNKNOWN)
    second = await room.claimed(owner)

    assert await room.marked_sent("the first", first) == []
    assert await room.marked_sent(owner, second) == [order]

    assert await room.published(order) == [("SENT", 1)]


async def test_the_result_of_another_owner_does_not_count(room: MailRoom) -> None:
    await room.order()
    claimed = await room.claimed("the owner")

    assert await room.marked_sent("another", claimed) == []


async def test_what_is_not_due_waits_and_the_others_do_not(room: MailRoom) -> None:
    waits = await room.order()
    await room.set(due_at=datetime.now(UTC) + LONGEST_WAIT - timedelta(seconds=30))
    goes = await room.order("ann@example.org")
    dispatcher = room.dispatcher()

    assert [await dispatcher.step(), await dispatcher.step()] == [True, False]

    assert (await room.of(waits)).state == State.READY
    assert (await room.of(goes)).state == State.SENT


async def test_what_was_due_first_is_sent_first(room: MailRoom) -> None:
    """So mails that are tried again and again hold up no new ones, nor new ones them."""
    now = datetime.now(UTC)
    late = await room.order(due_at=now)
    early = await room.order("ann@example.org", due_at=now - timedelta(seconds=1))

    await room.dispatcher().step()

    assert (await room.of(early)).state == State.SENT
    assert (await room.of(late)).state == State.READY


async def test_what_is_due_when_the_clock_was_ahead_is_due_now(room: MailRoom) -> None:
    order = await room.order()
    await room.set(due_at=datetime.now(UTC) + timedelta(days=365))

    await room.dispatcher().step()

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
async def test_a_claim_that_has_run_out_is_unknown(
    room: MailRoom, until: timedelta
) -> None:
    order = await room.order()
    await room.set(state=State.SENDING, sending_until=datetime.now(UTC) + until)

    await room.dispatcher(owner="another").step()

    assert await room.published(order) == [("UNKNOWN", 1)]


@pytest.mark.parametrize("left", [LEASE / 2, LEASE + CLOCKS_APART])
async def test_a_claim_that_still_holds_is_left_alone(
    room: MailRoom, left: timedelta
) -> None:
    """Also of a replica whose clock is a little ahead."""
    order = await room.order()
    await room.set(state=State.SENDING, sending_until=datetime.now(UTC) + left)

    assert not await room.dispatcher(owner="another").step()

    assert (await room.of(order)).state == State.SENDING
    assert await room.published(order) == []


async def test_a_slow_mail_server_does_not_hold_up_the_console(room: MailRoom) -> None:
    await room.order()
    gate = Gate()
    sending = asyncio.create_task(gate.dispatcher(room).step())
    await asyncio.wait_for(gate.reached.wait(), 15)

    order = await room.order(None)

    assert (await room.of(order)).state == State.SENT
    assert not sending.done()
    gate.opened.set()
    await sending
