"""A correction on PostgreSQL, while a dispatcher marks what is corrected: what is said goes on after that."""

import asyncio

from sqlalchemy import select, text

from contracts.order_created import OrderCreated
from services.notification.model import Channel, Notification
from services.notification.outcomes import claim, fence, mark_sent
from services.notification.reactions.notify_customer_on_order_created import (
    correct_notification,
    notify_customer_on_order_created,
)
from tests.notification.mail_room import MailRoom
from tests.support.eventually import eventually
from tests.support.feeds import Letter, order_created

WAITING = (
    "SELECT count(*) FROM pg_stat_activity "
    "WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


def as_event(letter: Letter, **changes: str) -> OrderCreated:
    """Give the event of a letter, with these fields changed."""
    return OrderCreated.model_validate({**letter[0].model_dump(), **changes})


async def corrected(room: MailRoom, letter: Letter) -> None:
    """Let the feed say this, in a transaction of its own."""
    async with room.database.write() as session:
        await correct_notification(as_event(letter), letter[1], session)


async def is_waited_for(room: MailRoom) -> bool:
    """Tell whether a transaction waits for another."""
    async with room.database.read() as session:
        return bool(await session.scalar(text(WAITING)))


async def test_what_is_said_of_it_meanwhile_is_not_said_again_with_its_version(
    shared: MailRoom,
) -> None:
    letter = order_created("Jane Doe")
    lie = as_event(letter, customer_name="Mallory")
    async with shared.database.write() as session:
        await notify_customer_on_order_created(lie, letter[1], session)

    async with shared.database.write() as session:
        sending = await claim(session, "me", Channel.CONSOLE, 1)
        await mark_sent(session, fence("me", sending))
        correcting = asyncio.create_task(corrected(shared, letter))
        await eventually(lambda: is_waited_for(shared), "the correction waits")
    await correcting

    async with shared.database.read() as session:
        (right,) = await session.scalars(select(Notification))
    assert (right.customer_name, right.version) == ("Jane Doe", 1)
