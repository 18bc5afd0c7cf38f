"""A mail of an erased customer: whatever state it is in, it does not leave any more."""

from functools import partial

import pytest

from chassis.errors import Rejected
from services.notification import erasure, outcomes
from services.notification.commands.discard_notification import discard_notification
from services.notification.commands.release_notification import release_notification
from services.notification.model import Notification, State
from services.notification.recovery import hold_all
from tests.notification.mail_room import MailRoom
from tests.notification.test_release import COMMAND

OPEN = [State.READY, State.HELD, State.UNKNOWN]
SETTLED = [State.SENT, State.FAILED, State.DISCARDED]


@pytest.mark.parametrize("state", [*OPEN, *SETTLED])
async def test_a_mail_of_an_erased_customer_is_not_sent_in_any_state(
    room: MailRoom, state: State
) -> None:
    order = await room.order(state=state, release_reason="Jane Doe called", slot_of="x")

    for _ in range(2):
        await room.database.write(lambda session: erasure.erase(session, [order]))

    found = await room.of(order)
    assert found.state == (state if state in SETTLED else State.DISCARDED)
    assert (found.customer_name, found.customer_email) == ("(erased)", None)
    assert found.release_reason == "(erased)"
    assert found.erased_at
    assert found.slot_of is None
    told = [("FAILED", 1)] if state in OPEN else []
    assert await room.published(order) == told
    await room.database.write(hold_all)
    assert (await room.of(order)).state == found.state
    for command in (release_notification, discard_notification):
        with pytest.raises(Rejected):
            await room.database.write(partial(command, order, COMMAND))
    every = Notification.order_id == order
    await room.database.write(
        lambda session: outcomes.release(session, every, "Eve", "all of them")
    )
    assert (await room.of(order)).state == found.state
    await room.dispatcher().step()
    assert room.mailbox.mails == []


async def test_what_becomes_of_a_mail_that_was_under_way_changes_nothing(
    room: MailRoom,
) -> None:
    order = await room.order()
    claimed = await room.claimed("one")

    await room.database.write(lambda session: erasure.erase(session, [order]))

    assert await room.marked_sent("one", claimed) == []
    assert (await room.of(order)).state == State.DISCARDED
