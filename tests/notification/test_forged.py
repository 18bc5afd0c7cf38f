"""Forged events: what came under an event's id and says something else gives way to the sender's feed."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select, update

from chassis.cloud_event import digest_of
from chassis.dead_letters.replay import Replay, replay
from chassis.inbox.inbox import Reaction, give_up, inbox, take_in
from chassis.inbox.parse import Unprocessable
from contracts.order_created import OrderCreated
from services.notification.model import Notification, State
from services.notification.reactions.notify_customer_on_order_created import reaction
from tests.support.feeds import Letter, order_created
from tests.support.pulls import Pull, pulling
from tests.support.simulated_dapr import SimulatedDapr


@pytest.fixture
async def pull(
    each_database: None, tmp_path: Path, dapr: SimulatedDapr
) -> AsyncIterator[Pull]:
    """Make a feed, and who pulls from it."""
    async with pulling(tmp_path, dapr) as made:
        yield made


def forged(letter: Letter, **changes: object) -> bytes:
    """Make what anybody may send who reaches the broker: this event's id, and other data."""
    event = letter[1].model_dump(mode="json")
    return json.dumps({**event, "data": {**event["data"], **changes}}).encode()


async def pushed(pull: Pull, body: bytes) -> None:
    """Let the broker bring this."""
    assert await take_in(pull.database, reaction, body) == "SUCCESS"


async def notifications(pull: Pull) -> list[Notification]:
    """Give what there is to be sent."""
    async with pull.database.read() as session:
        return list(await session.scalars(select(Notification)))


async def known(pull: Pull) -> list[Any]:
    """Give how each event came, and its digest."""
    async with pull.database.read() as session:
        columns = select(inbox.c.event_id, inbox.c.arrival, inbox.c.digest)
        return [tuple(row) for row in await session.execute(columns)]


async def becomes(pull: Pull, state: State) -> None:
    """Let every notification have come this far."""
    async with pull.database.write() as session:
        await session.execute(update(Notification).values(state=state, owner="me"))


async def refuse(*_: object) -> None:
    """Correct nothing."""
    raise Unprocessable("it is too late")


async def replayed(pull: Pull) -> Replay:
    """Let an operator replay the only dead letter."""
    (letter,) = await pull.dead()
    known = {reaction.name: reaction}
    async with pull.database.write() as session:
        return await replay(session, letter.id, known, dry_run=False)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize(
    "lie",
    [
        {"customerName": "Mallory"},
        {"customerEmail": "mallory@example.org"},
        {"orderId": str(uuid4())},
        {"createdAt": "1970-01-01T00:00:00Z"},
    ],
)
async def test_the_customer_hears_what_the_order_service_says(
    pull: Pull, caplog: pytest.LogCaptureFixture, state: State, lie: dict[str, str]
) -> None:
    letter = order_created("Jane Doe")
    (event_id,) = await pull.feed.says(letter)
    await pushed(pull, forged(letter, **lie))
    await becomes(pull, state)

    await pull.catches_up()

    (notification,) = await notifications(pull)
    assert str(notification.order_id) == letter[1].subject
    assert (notification.customer_name, notification.customer_email) == (
        "Jane Doe",
        None,
    )
    assert (notification.state, notification.channel) == (State.READY, "console")
    assert (notification.owner, notification.sent_at) == (None, None)
    assert await known(pull) == [(event_id, "CORRECTED", digest_of(letter[1]))]
    assert (
        f"{event_id} is not what order says, and is corrected: it was forged"
        in caplog.text
    )


async def test_it_is_another_notification_of_which_more_is_said(pull: Pull) -> None:
    """So whoever sends the forged one marks nothing any more, and its key is not that of the true one."""
    letter = order_created()
    await pull.feed.says(letter)
    await pushed(pull, forged(letter, customerName="Mallory"))
    (before,) = await notifications(pull)
    async with pull.database.write() as session:
        await session.execute(update(Notification).values(version=7))

    await pull.catches_up()

    (after,) = await notifications(pull)
    assert after.id != before.id
    assert after.version == 7


async def test_who_was_told_the_truth_is_not_told_again(pull: Pull) -> None:
    letter = order_created()
    (event_id,) = await pull.feed.says(letter)
    lie = {**letter[1].model_dump(mode="json"), "causationid": "somebody"}
    await pushed(pull, json.dumps(lie).encode())
    await becomes(pull, State.SENT)

    await pull.catches_up()

    assert [each.state for each in await notifications(pull)] == [State.SENT]
    assert await known(pull) == [(event_id, "CORRECTED", digest_of(letter[1]))]


async def test_what_is_forged_afterwards_changes_nothing_and_is_said(
    pull: Pull, caplog: pytest.LogCaptureFixture
) -> None:
    letter = order_created("Jane Doe")
    (event_id,) = await pull.feed.says(letter)
    await pushed(pull, letter[1].model_dump_json().encode())
    await pushed(pull, forged(letter, customerName="Mallory"))
    await pull.catches_up()
    await pushed(pull, forged(letter, customerName="Mallory"))

    (notification,) = await notifications(pull)
    assert notification.customer_name == "Jane Doe"
    assert await known(pull) == [(event_id, "PUSHED", digest_of(letter[1]))]
    assert f"the id {event_id} says something else" in caplog.text


async def test_what_is_forged_and_a_dead_letter_does_not_keep_the_true_one_out(
    pull: Pull,
) -> None:
    first, second = order_created("Jane Doe"), order_created("John Doe")
    await pull.feed.says(first, second)
    await pushed(pull, first[1].model_dump_json().encode())
    await pushed(pull, forged(second, orderId=first[1].subject))
    assert [letter.event_id for letter in await pull.dead()] == [None]

    await pull.catches_up()

    names = sorted(each.customer_name for each in await notifications(pull))
    assert names == ["Jane Doe", "John Doe"]


async def test_a_forged_letter_that_the_feed_overruled_is_not_acted_on(
    pull: Pull,
) -> None:
    letter = order_created("John Doe")
    (event_id,) = await pull.feed.says(letter)
    lie, late = forged(letter, orderId=str(uuid4())), Unprocessable("it is too late")
    async with pull.database.write() as session:
        await give_up(session, reaction, lie, late)
    assert [each.event_id for each in await pull.dead()] == [event_id]
    await pull.catches_up()

    assert (await replayed(pull)).outcome == "was taken in before"

    assert [each.customer_name for each in await notifications(pull)] == ["John Doe"]


async def test_a_correction_that_fails_is_a_dead_letter_and_replayed_it_corrects(
    pull: Pull,
) -> None:
    letter = order_created("Jane Doe")
    (event_id,) = await pull.feed.says(letter)
    await pushed(pull, forged(letter, orderId=str(uuid4()), customerName="Mallory"))
    pull.reconciler.reaction = Reaction(OrderCreated, reaction.act, correct=refuse)
    await pull.catches_up()
    assert [each.event_id for each in await pull.dead()] == [event_id]

    assert (await replayed(pull)).outcome == "taken in"

    said = [(str(n.order_id), n.customer_name) for n in await notifications(pull)]
    assert said == [(letter[1].subject, "Jane Doe")]
    assert (event_id, "PULLED", digest_of(letter[1])) in await known(pull)


async def test_one_that_is_forged_is_found_where_much_is_missing(pull: Pull) -> None:
    letters = [order_created("Jane Doe") for _ in range(150)]
    await pull.feed.says(*letters)
    await pushed(pull, forged(letters[70], customerName="Mallory"))

    await pull.catches_up()

    names = [each.customer_name for each in await notifications(pull)]
    assert names == ["Jane Doe"] * 150
    assert [how for _, how, _ in await known(pull)].count("CORRECTED") == 1


async def test_what_was_taken_in_before_there_were_digests_is_left(pull: Pull) -> None:
    letter = order_created("Jane Doe")
    await pull.feed.says(letter)
    await pushed(pull, forged(letter, customerName="Who was before"))
    async with pull.database.write() as session:
        await session.execute(update(inbox).values(digest=b""))

    await pull.catches_up()

    (notification,) = await notifications(pull)
    assert notification.customer_name == "Who was before"


async def test_what_comes_again_and_was_taken_in_before_there_were_digests_alarms_nobody(
    pull: Pull, caplog: pytest.LogCaptureFixture
) -> None:
    body = order_created()[1].model_dump_json().encode()
    await pushed(pull, body)
    async with pull.database.write() as session:
        await session.execute(update(inbox).values(digest=b""))

    await pushed(pull, body)

    assert caplog.text == ""


async def test_a_sender_that_reckons_digests_otherwise_corrects_nothing(
    pull: Pull, caplog: pytest.LogCaptureFixture
) -> None:
    """Another version of it may: what counts is what its event says."""
    letter = order_created()
    (event_id,) = await pull.feed.says(letter)
    await pull.feed.change(1, digest=b"?" * 32)
    await pushed(pull, letter[1].model_dump_json().encode())

    await pull.catches_up()

    assert await known(pull) == [(event_id, "PUSHED", digest_of(letter[1]))]
    assert "forged" not in caplog.text
