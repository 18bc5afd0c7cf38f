"""Forged events that name an order: whoever had its place gives way to what the order service's feed says."""

import pytest
from sqlalchemy import update

from chassis.inbox.inbox import Reaction
from contracts.order_created import OrderCreated
from services.notification.model import Notification, State
from services.notification.reactions.notify_customer_on_order_created import reaction
from tests.notification.test_forged import (
    becomes,
    forged,
    known,
    notifications,
    pull,  # noqa: F401 - a fixture
    pushed,
    replayed,
)
from tests.support.feeds import Letter, order_created
from tests.support.pulls import Pull


def true(letter: Letter) -> bytes:
    """Give the event as the order service sends it."""
    return letter[1].model_dump_json().encode()


async def told(pull: Pull) -> dict[str, tuple[str, str]]:  # noqa: F811
    """Give of each order whose name is said, and by which event."""
    there = await notifications(pull)
    return {str(n.order_id): (n.customer_name, n.caused_by) for n in there}


def said_by(*letters: Letter) -> dict[str, tuple[str, str]]:
    """Give what is said where everybody is told what the order service says."""
    return {
        envelope.subject: (envelope.data["customerName"], envelope.id)
        for _, envelope in letters
    }


@pytest.mark.parametrize("state", State)
async def test_an_order_that_a_forged_event_names_is_its_true_events(
    pull: Pull,  # noqa: F811
    caplog: pytest.LogCaptureFixture,
    state: State,
) -> None:
    letter, other = order_created("Jane Doe"), order_created()
    (event_id,) = await pull.feed.says(letter)
    lie = forged(other, orderId=letter[1].subject, customerName="Mallory")
    await pushed(pull, lie)
    await becomes(pull, state)
    await pushed(pull, true(letter))

    await pull.catches_up()

    assert await told(pull) == said_by(letter)
    assert [each.state for each in await notifications(pull)] == [State.READY]
    assert f"another had the place of the event {event_id}" in caplog.text


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("name", ["Mallory", "John Doe"])
async def test_one_forged_under_an_id_that_names_another_order_keeps_nobody_out(
    pull: Pull,  # noqa: F811
    first: int,
    name: str,
) -> None:
    jane, john = order_created("Jane Doe"), order_created("John Doe")
    await pull.feed.says(*((jane, john) if first == 0 else (john, jane)))
    await pushed(pull, forged(jane, orderId=john[1].subject, customerName=name))
    await pushed(pull, true(john))

    await pull.catches_up()

    assert await told(pull) == said_by(jane, john)


async def test_two_that_are_forged_about_one_event_give_way_both(pull: Pull) -> None:  # noqa: F811
    jane, john, other = order_created("Jane Doe"), order_created(), order_created()
    await pull.feed.says(jane)
    await pushed(pull, forged(jane, orderId=john[1].subject))
    await pushed(pull, forged(other, orderId=jane[1].subject, customerName="Mallory"))

    await pull.catches_up()

    assert await told(pull) == said_by(jane)


@pytest.mark.parametrize("caused_by", ["another", ""])
async def test_who_was_told_the_truth_by_another_event_is_not_told_again(
    pull: Pull,  # noqa: F811
    caused_by: str,
) -> None:
    """As by what a rebuild has restored."""
    letter = order_created("Jane Doe")
    await pull.feed.says(letter)
    await pushed(pull, forged(order_created("Jane Doe"), orderId=letter[1].subject))
    async with pull.database.write() as session:
        await session.execute(update(Notification).values(caused_by=caused_by))
    await becomes(pull, State.SENT)
    (before,) = await notifications(pull)

    await pull.catches_up()

    (after,) = await notifications(pull)
    assert (after.id, after.state) == (before.id, State.SENT)
    assert await told(pull) == said_by(letter)


async def test_a_true_event_that_is_pushed_twice_meanwhile_tells_nobody_twice(
    pull: Pull,  # noqa: F811
) -> None:
    letter = order_created("Jane Doe")
    (event_id,) = await pull.feed.says(letter)
    await pushed(pull, forged(order_created("Mallory"), orderId=letter[1].subject))
    for _ in range(2):
        await pushed(pull, true(letter))
    await pull.catches_up()
    await becomes(pull, State.SENT)
    await pushed(pull, true(letter))

    await pull.catches_up()

    assert [each.state for each in await notifications(pull)] == [State.SENT]
    assert [each.event_id for each in await pull.dead()] == [None, None]
    assert event_id in [each[0] for each in await known(pull)]


async def test_the_letter_that_the_push_left_says_that_its_event_is_taken_in(
    pull: Pull,  # noqa: F811
) -> None:
    letter = order_created("Jane Doe")
    await pull.feed.says(letter)
    await pushed(pull, forged(order_created("Mallory"), orderId=letter[1].subject))
    await pushed(pull, true(letter))
    await pull.catches_up()

    assert (await replayed(pull)).outcome == "was taken in before"

    assert await told(pull) == said_by(letter)


async def test_where_nothing_is_corrected_the_letter_holds_its_key(
    pull: Pull,  # noqa: F811
) -> None:
    letter = order_created("Jane Doe")
    (event_id,) = await pull.feed.says(letter)
    await pushed(pull, forged(order_created("Mallory"), orderId=letter[1].subject))
    pull.reconciler.reaction = Reaction(OrderCreated, reaction.act)

    await pull.catches_up()

    assert [each.event_id for each in await pull.dead()] == [event_id]
