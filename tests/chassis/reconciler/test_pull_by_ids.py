"""The pull in short: what is there is compared by id and digest; only what is missing is given in full."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest

from chassis.cloud_event import CloudEvent
from chassis.dapr.sidecar import SidecarUnavailable
from chassis.inbox.inbox import Reaction, take_in
from chassis.reconciler.grace_period import LOST, SETTLE
from contracts.order_created import OrderCreated
from services.notification.reactions.notify_customer_on_order_created import reaction
from tests.support.feeds import order_created
from tests.support.letters import STRICT
from tests.support.pulls import Pull, pulling
from tests.support.simulated_dapr import SimulatedDapr


@pytest.fixture
async def pull(tmp_path: Path, dapr: SimulatedDapr) -> AsyncIterator[Pull]:
    """Make a feed, and who pulls from it."""
    async with pulling(tmp_path, dapr) as made:
        yield made


async def test_what_is_there_is_compared_by_its_id_and_digest_alone(pull: Pull) -> None:
    letters = [order_created() for _ in range(3)]
    await pull.feed.says(*letters)
    for _, envelope in letters:
        await take_in(pull.database, reaction, envelope.model_dump_json().encode())

    await pull.catches_up()

    assert {asked.get("form") for asked in pull.asked} == {"ids"}
    assert not any("id" in asked for asked in pull.asked)


async def test_only_what_is_missing_is_asked_for_in_full(pull: Pull) -> None:
    letters = [order_created() for _ in range(3)]
    said = await pull.feed.says(*letters)
    for _, envelope in letters[:2]:
        await take_in(pull.database, reaction, envelope.model_dump_json().encode())

    await pull.catches_up()

    assert [asked["id"] for asked in pull.asked if "id" in asked] == [said[2]]


async def test_where_much_is_missing_nothing_is_waited_for(pull: Pull) -> None:
    await pull.feed.says_orders(150)
    await pull.step()
    pull.now += SETTLE
    assert await pull.step() is True
    fresh = await pull.feed.says_orders(10)

    await pull.step()

    assert set(fresh) < set(await pull.taken())
    assert "form" in pull.asked[-1]
    assert (pull.asked[-1]["form"], pull.asked[-1].get("until")) == ("full", None)


async def test_after_a_backlog_what_is_pushed_is_given_its_time_again(
    pull: Pull,
) -> None:
    await pull.feed.says_orders(150)
    await pull.catches_up()
    await pull.step()
    await pull.feed.says_orders(1)

    await pull.step()
    assert len(await pull.taken()) == 150
    pull.now += SETTLE
    await pull.step()

    assert len(await pull.taken()) == 151


async def test_what_comes_after_it_was_pulled_is_late_and_the_next_is_given_longer(
    pull: Pull, caplog: pytest.LogCaptureFixture
) -> None:
    letter = order_created()
    said = await pull.feed.says(letter)
    await pull.catches_up()
    pull.now += 4
    await take_in(pull.database, reaction, letter[1].model_dump_json().encode())

    await pull.step()
    said += await pull.feed.says_orders(1)
    await pull.step()
    pull.now += SETTLE + 3.9
    await pull.step()
    assert await pull.arrivals() == ["LATE"]
    pull.now += 0.2
    await pull.step()

    assert await pull.taken() == said
    late = "1 of OrderCreated were late; 7 s are given now; 1 since the start"
    assert f"{late} ({said[0]})" in caplog.text


async def test_what_never_comes_is_said_to_be_lost(
    pull: Pull, caplog: pytest.LogCaptureFixture
) -> None:
    (said,) = await pull.feed.says_orders(1)
    await pull.catches_up()
    pull.now += LOST - 0.1
    await pull.step()
    assert "lost" not in caplog.text

    pull.now += 0.1
    await pull.step()

    lost = "1 of OrderCreated were lost by the broker; 1 since the start"
    assert f"{lost} ({said})" in caplog.text
    assert await pull.arrivals() == ["PULLED"]


async def test_a_page_is_taken_in_with_few_statements(pull: Pull) -> None:
    """While its transaction is open, deliveries of the same events wait for it."""
    said = await pull.feed.says_orders(250)
    await pull.step()
    pull.now += SETTLE
    await pull.step()

    with pull.counting() as statements:
        await pull.step()

    assert await pull.taken() == said
    assert len(statements["notification"]) < 20


@pytest.mark.parametrize("beside", [[], ["{}"]], ids=["by-itself", "beside-a-bad-one"])
async def test_what_is_in_a_page_twice_is_acted_on_once(
    pull: Pull, beside: list[str]
) -> None:
    """No feed of ours says an event twice; what was put into its table by hand may."""
    letter = order_created()
    (said,) = await pull.feed.says(letter)
    await pull.feed.says_raw(letter[1].model_dump_json(), event_id="another-row")
    for each in beside:
        await pull.feed.says_raw(each)
    acted: list[str] = []

    async def note(_event: object, envelope: CloudEvent, _session: object) -> None:
        acted.append(envelope.id)

    pull.reconciler.reaction = Reaction(OrderCreated, note, known_as=reaction.name)
    await pull.catches_up()

    assert acted == [said]
    assert await pull.inbox() == [said]


async def test_one_that_cannot_be_taken_in_takes_no_other_of_its_page_with_it(
    pull: Pull,
) -> None:
    letters = [order_created() for _ in range(5)]
    second = order_created(order_id=UUID(letters[1][1].subject))
    said = await pull.feed.says(*letters[:3], second, *letters[3:])
    pull.reconciler.reaction = STRICT

    await pull.catches_up()

    assert await pull.taken() == [*said[:3], *said[4:]]
    assert [letter.event_id for letter in await pull.dead()] == [said[3]]


FEED = "0198c0de-0000-7000-8000-000000000001"
EVENT = order_created()[1].model_dump(mode="json")
PAGE = {
    "events": [["an-id", "ab" * 32]],
    "next": f"{FEED}.0.6.event-6",
    "end": f"{FEED}.0.7.event-7",
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
    await pull.feed.says_orders(150)
    await pull.step()
    pull.now += SETTLE
    await pull.step()
    await pull.step()

    forms = []
    for _ in range(2):
        await pull.feed.says_orders(1)
        await pull.step()
        forms.append(pull.asked[-1].get("form"))

    assert forms == ["full", "ids"]
