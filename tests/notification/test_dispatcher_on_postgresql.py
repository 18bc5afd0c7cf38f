"""Dispatchers of several replicas, on one PostgreSQL: none sends what another does."""

import asyncio

from services.notification.model import Channel, State
from services.notification.outcomes import claim
from tests.notification.mail_room import MailRoom


async def test_two_that_claim_at_once_do_not_send_the_same(shared: MailRoom) -> None:
    orders = [await shared.is_asked() for _ in range(2)]

    async with shared.database.write() as one, shared.database.write() as another:
        (mine,) = await claim(one, "one", Channel.EMAIL, 1)
        claiming = claim(another, "another", Channel.EMAIL, 1)
        (others,) = await asyncio.wait_for(claiming, 5)

    assert [mine.order_id, others.order_id] == orders


async def test_what_another_process_is_sending_is_left_alone(shared: MailRoom) -> None:
    order = await shared.is_asked()
    async with shared.database.write() as session:
        await claim(session, "another", Channel.EMAIL, 1)

    await shared.mailing().reclaim()

    assert (await shared.of(order)).state == State.SENDING
    assert await shared.said(order) == []
