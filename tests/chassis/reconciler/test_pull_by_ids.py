"""The pull by ids: what was pushed is compared by its id alone; only what is missing is asked for in full."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy.orm import Session

from chassis.cloud_event import CloudEvent
from chassis.dapr import SidecarUnavailable
from chassis.inbox import Reaction
from chassis.reconciler.grace_period import SHORTEST
from contracts.order_created import OrderCreated
from services.notification.reactions.notify_customer_on_order_created import reaction
from tests.support.feeds import order_created
from tests.support.pulls import Pull, pulling
from tests.support.simulated_dapr import SimulatedDapr


@pytest.fixture
async def pull(
    each_database: None, tmp_path: Path, dapr: SimulatedDapr
) -> AsyncIterator[Pull]:
    """Return a feed and its consumer."""
    async with pulling(tmp_path, dapr) as made:
        yield made


async def test_what_was_pushed_is_compared_by_its_id_alone(pull: Pull) -> None:
    letters = [order_created() for _ in range(3)]
    await pull.feed.says(*letters)
    await pull.is_pushed(*letters)

    await pull.catches_up()

    assert {asked.get("form") for asked in pull.asked} == {"ids"}
    assert not any("id" in asked for asked in pull.asked)


async def test_only_what_is_missing_is_asked_for_in_full(pull: Pull) -> None:
    letters = [order_created() for _ in range(3)]
    said = await pull.feed.says(*letters)
    await pull.is_pushed(*letters[:2])

    await pull.catches_up()

    assert [asked["id"] for asked in pull.asked if "id" in asked] == [said[2]]


async def test_where_much_is_missing_nothing_is_waited_for(pull: Pull) -> None:
    await pull.feed.says_orders(150)
    await pull.step()
    pull.now += SHORTEST
    assert await pull.step() is True
    fresh = await pull.feed.says_orders(10)

    await pull.step()

    assert set(fresh) < set(await pull.taken())
    assert {"form", "until"}.isdisjoint(pull.asked[-1])


async def test_after_a_backlog_what_is_pushed_is_given_its_time_again(
    pull: Pull,
) -> None:
    await pull.feed.says_orders(150)
    await pull.catches_up()
    await pull.step()
    await pull.feed.says_orders(1)

    await pull.step()
    assert len(await pull.taken()) == 150
    pull.now += SHORTEST
    await pull.step()

    assert len(await pull.taken()) == 151


async def test_a_page_is_taken_in_with_few_statements(pull: Pull) -> None:
    """While its transaction is open, deliveries of the same events wait for it."""
    said = await pull.feed.says_orders(250)
    await pull.step()
    pull.now += SHORTEST
    await pull.step()

    with pull.counting() as statements:
        await pull.step()

    assert await pull.taken() == said
    assert len(statements["notification"]) < 20


async def test_events_are_handled_in_order_and_one_that_is_listed_twice_once(
    pull: Pull,
) -> None:
    """No feed lists an event twice; what was put into its table by hand may be."""
    letter, another = order_created(), order_created()
    said = await pull.feed.says(another, letter)
    await pull.feed.says_raw(json.dumps(letter[1]), event_id="another-row")
    said += await pull.feed.says_orders(3)
    acted: list[str] = []

    def note(_event: OrderCreated, envelope: CloudEvent, _session: Session) -> None:
        acted.append(envelope.id)

    pull.reconciler.reaction = Reaction(OrderCreated, note, known_as=reaction.name)
    await pull.catches_up()

    assert acted == said
    assert await pull.inbox() == said


async def test_an_event_that_fails_for_good_takes_no_other_of_its_page_with_it(
    pull: Pull,
) -> None:
    letters = [order_created() for _ in range(5)]
    second = order_created(order_id=UUID(letters[1][1]["subject"]))
    said = await pull.feed.says(*letters[:3], second, *letters[3:])
    await pull.catches_up()

    assert await pull.taken() == [*said[:3], *said[4:]]
    assert [letter.event_id for letter in await pull.dead()] == [said[3]]


FEED = "0198c0de-0000-7000-8000-000000000001"
EVENT = order_created()[1]
PAGE = {
    "events": ["an-id"],
    "next": f"{FEED}.0.6.event-6",
    "highWaterMark": f"{FEED}.0.7.event-7",
    "removed": False,
}


@pytest.mark.parametrize(
    "found",
    [
        {},
        {"events": {}},
        {"events": []},
        {"events": [EVENT]},
        {"events": {"an-id": None}},
        {"events": {"an-id": "x"}},
        {"events": {"another-id": EVENT}},
        {"events": {"an-id": EVENT, "another-id": EVENT}},
        PAGE,
    ],
)
async def test_other_events_than_were_asked_for_are_refused_whole(
    pull: Pull, found: dict[str, object]
) -> None:
    """The page says by id what there is, and then something else is given."""
    begun = f"{FEED}.0.5.event-5"
    await pull.begins_at(begun)
    pull.answers = {"ids": PAGE, "by ids": found}

    for _ in range(2):
        with pytest.raises(SidecarUnavailable):
            await pull.step()

    assert await pull.cursor() == begun
    assert (await pull.inbox(), await pull.taken(), await pull.dead()) == ([], [], [])


async def test_a_backlog_has_ended_where_little_of_a_page_is_missing(
    pull: Pull,
) -> None:
    await pull.feed.says_orders(300)
    await pull.step()
    pull.now += SHORTEST
    await pull.step()
    await pull.step()

    forms = []
    for _ in range(2):
        await pull.step()
        forms.append(pull.asked[-1].get("form"))

    assert forms == [None, "ids"]
    assert len(await pull.taken()) == 300
