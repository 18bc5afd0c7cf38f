"""Channels of several replicas, on one PostgreSQL: none sends what another does."""

from concurrent.futures import ThreadPoolExecutor

from sqlalchemy.orm import Session

from services.notification.model import State
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


async def test_what_another_process_is_sending_is_left_alone(shared: MailRoom) -> None:
    order = await shared.order()
    await shared.claimed("another")

    await shared.dispatcher().reclaim()

    assert (await shared.of(order)).state == State.SENDING
    assert await shared.published(order) == []
