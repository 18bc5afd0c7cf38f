"""Channels of several replicas, on one PostgreSQL: none sends what another does."""

from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import select
from sqlalchemy.orm import Session

from services.notification.model import Notification, State
from services.notification.outcomes import claim
from tests.notification.mail_room import MailRoom


async def test_two_that_claim_at_once_do_not_send_the_same(shared: MailRoom) -> None:
    orders = [await shared.order() for _ in range(2)]
    engine = shared.database.engine

    with Session(engine) as one, Session(engine) as another, ThreadPoolExecutor() as t:
        first = claim(one, "one", keyed=False)
        second = t.submit(claim, another, "another", keyed=False).result(5)

        assert first
        assert second
        assert [first.order_id, second.order_id] == orders


async def test_two_consoles_at_once_do_not_print_the_same(shared: MailRoom) -> None:
    taken, free = await shared.order(None), await shared.order(None)

    with Session(shared.database.engine) as another:
        mine = select(Notification).where(Notification.order_id == taken)
        another.scalars(mine.with_for_update()).one()
        await shared.console().step()

    assert (await shared.of(taken)).state == State.READY
    assert (await shared.of(free)).state == State.SENT


async def test_what_another_process_is_sending_is_left_alone(shared: MailRoom) -> None:
    order = await shared.order()
    await shared.claimed("another")

    await shared.dispatcher().reclaim()

    assert (await shared.of(order)).state == State.SENDING
    assert await shared.published(order) == []
