"""How many mails an address gets, and how many leave: what is over that waits, and is sent in its turn."""

import asyncio
import threading
from datetime import datetime, timedelta
from functools import partial
from itertools import pairwise

from sqlalchemy import text
from sqlalchemy.orm import Session

from chassis.runtime import clock
from services.notification import throttle
from services.notification.model import Notification, State
from services.notification.outcomes import LONGEST_WAIT
from services.notification.throttle import HOUR, Limits
from services.notification.views.notification_tallies import find_notification_tallies
from tests.notification.mail_room import JANE, MailRoom, ahead
from tests.support.eventually import eventually
from tests.support.mail_server import Act

ADA = "ada@example.org"
TWO_AN_HOUR = Limits(an_hour=2)


async def work_through(room: MailRoom, limits: Limits = TWO_AN_HOUR) -> int:
    """Have a dispatcher work until it finds nothing; return how many steps found something."""
    dispatcher, steps = room.dispatcher(limits=limits), 0
    while await dispatcher.step():
        steps += 1
    return steps


def recipients(room: MailRoom) -> list[str]:
    """Return who has got the mails."""
    return [each.recipients[0] for each in room.mailbox.mails]


async def pass_time(room: MailRoom, by: timedelta) -> None:
    """Make everything that is written have happened so much earlier."""
    for each in await room.all():
        moved = {
            name: value - by
            for name in ("due_at", "slot_at", "sent_at", "sending_until")
            if (value := getattr(each, name))
        }
        await room.set(each.order_id, **moved)


async def test_what_an_address_gets_too_much_waits_and_holds_up_nobody_else(
    room: MailRoom,
) -> None:
    orders = [await room.order() for _ in range(4)]
    await room.order(email=ADA)

    await work_through(room)

    assert sorted(recipients(room)) == [ADA, JANE, JANE]
    waiting = [await room.of(each) for each in orders[2:]]
    for each in waiting:
        assert (each.state, each.attempt) == (State.READY, 0)
        assert (
            each.reason
            == "this address has had the 2 mails that it gets within an hour"
        )
        assert timedelta(minutes=58) < ahead(each.due_at, clock.now()) < LONGEST_WAIT
    assert await room.published(orders[3]) == []


async def test_it_is_sent_when_its_turn_has_come_and_nothing_is_lost(
    room: MailRoom,
) -> None:
    for _ in range(7):
        await room.order()

    sent = []
    for _ in range(5):
        await work_through(room)
        sent.append(len(room.mailbox.mails))
        await pass_time(room, HOUR)

    assert sent[0] == 2
    assert all(after - before <= 2 for before, after in pairwise(sent))
    assert sent[-1] == 7
    assert {each.state for each in await room.all()} == {State.SENT}


async def test_other_spellings_of_an_address_are_the_same_one(room: MailRoom) -> None:
    for email in (JANE, "Jane@example.org", "JANE@EXAMPLE.ORG"):
        await room.order(email=email)

    await work_through(room)

    assert len(room.mailbox.mails) == 2


async def test_what_was_certainly_not_sent_takes_no_place(room: MailRoom) -> None:
    room.mailbox.acts["RCPT"] = Act("450 busy")
    for _ in range(3):
        await room.order()
    await work_through(room)
    assert room.mailbox.mails == []

    del room.mailbox.acts["RCPT"]
    await room.time_passes()
    await work_through(room)

    assert len(room.mailbox.mails) == 2


async def test_a_flood_to_one_address_is_put_off_at_once(room: MailRoom) -> None:
    for _ in range(100):
        await room.order()
    await room.order(email=ADA)

    steps = await work_through(room)

    assert steps < 10
    assert sorted(recipients(room)) == [ADA, JANE, JANE]
    assert all(
        ahead(each.due_at, clock.now()) < LONGEST_WAIT
        for each in await room.all()
        if each.due_at
    )


async def test_a_clock_that_was_set_back_holds_up_no_mail(room: MailRoom) -> None:
    for _ in range(2):
        await room.order()
    await work_through(room)
    await pass_time(room, -timedelta(days=400))
    await room.order()

    await work_through(room)

    assert len(room.mailbox.mails) == 3


async def test_without_a_limit_every_mail_is_sent(room: MailRoom) -> None:
    for _ in range(30):
        await room.order()

    await work_through(room, throttle.NONE)

    assert len(room.mailbox.mails) == 30


async def test_mails_leave_evenly_where_their_number_is_limited(room: MailRoom) -> None:
    for number in range(3):
        await room.order(email=f"c{number}@example.org")

    await work_through(room, Limits(a_minute=600))

    assert len(room.mailbox.mails) == 3
    left: list[datetime] = sorted(
        each.slot_at for each in await room.all() if each.slot_at
    )
    gaps = [later - earlier for earlier, later in pairwise(left)]
    assert min(gaps) >= timedelta(milliseconds=100)


async def test_operations_say_that_mails_wait_for_their_address(room: MailRoom) -> None:
    for _ in range(4):
        await room.order()
    await work_through(room)

    ready = (await room.database.read(find_notification_tallies))[0]

    assert (ready.name, ready.count.number) == ("READY", 2)
    assert ready.problem
    assert ready.problem.what.startswith(
        "2 mails wait until their address may get another"
    )


async def test_replicas_count_together(shared: MailRoom) -> None:
    """One waits for another that has claimed a mail to the same address, until that is committed."""
    for _ in range(2):
        await shared.order()
    claim = partial(throttle.claim, limits=Limits(an_hour=1), keyed=False)
    claimed, committing = threading.Event(), threading.Event()

    def hold(session: Session) -> object:
        found = claim(session, "one")
        claimed.set()
        assert committing.wait(60)
        return found

    first = asyncio.create_task(shared.database.write(hold))
    assert await asyncio.to_thread(claimed.wait, 60)
    second = asyncio.create_task(
        shared.database.write(lambda session: claim(session, "two"))
    )

    async def waits() -> bool:
        return second.done() or bool(await shared.database.read(locked))

    await eventually(waits, "the second waits for the first", deadline=60)
    committing.set()

    assert isinstance(await first, Notification)
    assert await second == timedelta(0)


def locked(session: Session) -> int:
    """Return how many wait for an advisory lock."""
    waiting = (
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory'"
    )
    return session.scalar(text(waiting)) or 0
