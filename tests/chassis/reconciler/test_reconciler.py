"""The pull: what the broker lost, or never carries, is handled from its sender's feed, once and in order."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from chassis.dapr import SidecarUnavailable
from chassis.database.transient import CommitFailed
from chassis.reconciler.grace_period import CALM, SHORTEST
from chassis.reconciler.repair import CursorHeld
from tests.support.feeds import another, order_created
from tests.support.pulls import Pull, pulling
from tests.support.simulated_dapr import SimulatedDapr


@pytest.fixture
async def pull(
    each_database: None, tmp_path: Path, dapr: SimulatedDapr
) -> AsyncIterator[Pull]:
    """Return a feed and its consumer."""
    async with pulling(tmp_path, dapr) as made:
        yield made


async def test_what_was_never_pushed_is_pulled_and_logged(
    pull: Pull, caplog: pytest.LogCaptureFixture
) -> None:
    said = await pull.feed.says_orders(3)

    await pull.catches_up()

    assert await pull.taken() == said
    missed = "3 OrderCreated events missed by the broker, pulled from the feed"
    assert f"{missed} ({', '.join(said)})" in caplog.text


async def test_what_was_pushed_is_not_handled_again(
    pull: Pull, caplog: pytest.LogCaptureFixture
) -> None:
    letters = [order_created() for _ in range(3)]
    said = await pull.feed.says(*letters)
    await pull.is_pushed(*letters[:2])

    await pull.catches_up()

    assert sorted(await pull.taken()) == sorted(said)
    assert await pull.dead() == []
    assert "1 OrderCreated events missed" in caplog.text
    assert await pull.cursor() == (await pull.feed.page())["highWaterMark"]


async def test_what_was_pulled_and_is_then_pushed_is_not_handled_again(
    pull: Pull,
) -> None:
    letter = order_created()
    said = await pull.feed.says(letter)
    await pull.catches_up()

    for _ in range(2):
        await pull.is_pushed(letter)

    assert await pull.taken() == said
    assert await pull.arrivals() == ["LATE"]
    assert await pull.dead() == []


async def test_what_is_pushed_is_given_time_to_arrive(pull: Pull) -> None:
    said = await pull.feed.says_orders(1)

    await pull.step()
    pull.now += SHORTEST - 0.001
    await pull.step()
    assert await pull.taken() == []
    pull.now += 0.001
    await pull.step()

    assert await pull.taken() == said


async def test_each_event_is_given_its_own_time(pull: Pull) -> None:
    early = await pull.feed.says_orders(1)
    await pull.step()
    pull.now += SHORTEST / 2
    late = await pull.feed.says_orders(1)
    await pull.step()

    pull.now += SHORTEST / 2
    await pull.step()
    assert await pull.taken() == early
    pull.now += SHORTEST / 2
    await pull.step()

    assert await pull.taken() == [*early, *late]


async def test_an_outage_of_the_feed_makes_nobody_wait_again(
    pull: Pull, dapr: SimulatedDapr
) -> None:
    said = await pull.feed.says_orders(1)
    await pull.step()
    pull.now += SHORTEST
    dapr.away = {"order"}
    with pytest.raises(SidecarUnavailable):
        await pull.step()

    dapr.away = set()
    await pull.step()

    assert await pull.taken() == said


async def test_many_pages_are_handled_without_a_pause(pull: Pull) -> None:
    pull.reconciler.id_rows = 100
    for _ in range(5):
        await pull.feed.says_orders(50)
        await pull.feed.says(another())
    await pull.step()
    pull.now += SHORTEST

    steps = [await pull.step() for _ in range(4)]

    assert steps == [True, True, False, False]
    assert len(set(await pull.taken())) == 250
    assert [asked.get("form", "by ids") for asked in pull.asked] == [
        *("ids", "ids", "by ids", "ids", "by ids", "ids", "by ids", "ids")
    ]
    assert await pull.cursor() == (await pull.feed.page(limit=0))["highWaterMark"]


async def test_much_that_is_missing_is_pulled_in_full_pages(pull: Pull) -> None:
    await pull.feed.says_orders(1100)
    await pull.step()
    pull.now += SHORTEST

    assert [await pull.step() for _ in range(6)] == [*[True] * 5, False]

    assert len(await pull.taken()) == 1100
    asked = [(each.get("form"), each.get("limit")) for each in pull.asked[1:]]
    assert asked == [("ids", None), *[(None, "250")] * 5]


async def test_whoever_starts_again_goes_on_where_it_was(
    tmp_path: Path, dapr: SimulatedDapr
) -> None:
    async with pulling(tmp_path, dapr) as before:
        before.reconciler.id_rows = 2
        said = await before.feed.says_orders(5)
        await before.step()
        before.now += SHORTEST
        await before.step()
        half, place = await before.taken(), await before.cursor()

    async with pulling(tmp_path, dapr) as after:
        assert await after.cursor() == place
        await after.catches_up()

        assert half == said[:2]
        assert await after.taken() == said
        assert after.asked[0]["after"] == place


async def test_two_that_begin_at_once_take_nothing_in_twice(pull: Pull) -> None:
    said = await pull.feed.says_orders(3)
    other = pull.another()
    for each in (pull.reconciler, other):
        await each.step()
    pull.now += SHORTEST

    async def overtakes() -> None:
        said.extend(await pull.feed.says_orders(1))
        await other.step()
        pull.now += SHORTEST
        await other.step()

    pull.before_it_is_heard = [overtakes]
    await pull.step()

    assert await pull.taken() == said
    assert await pull.dead() == []
    assert await pull.cursor() == (await pull.feed.page())["highWaterMark"]


async def test_two_that_pull_at_once_store_one_dead_letter(pull: Pull) -> None:
    order_id = uuid4()
    await pull.feed.says(*(order_created(order_id=order_id) for _ in range(2)))
    other = pull.another()
    for each in (pull.reconciler, other):
        await each.step()
    pull.now += SHORTEST

    pull.before_it_is_heard = [other.step]
    await pull.step()

    assert len(await pull.taken()) == 1
    assert len(await pull.dead()) == 1


async def test_one_that_is_overtaken_later_leads_nobody_back(pull: Pull) -> None:
    await pull.feed.says_orders(1)
    await pull.catches_up()
    await pull.feed.says_orders(2)
    other = pull.another()
    for each in (pull.reconciler, other):
        await each.step()
    pull.now += SHORTEST

    async def overtakes() -> None:
        await pull.feed.says_orders(1)
        await other.step()
        pull.now += SHORTEST
        await other.step()

    pull.before_it_is_heard = [overtakes]
    await pull.step()

    assert len(await pull.taken()) == 4
    assert await pull.cursor() == (await pull.feed.page())["highWaterMark"]


async def test_cursor_and_events_are_committed_together_or_not_at_all(
    pull: Pull,
) -> None:
    said = await pull.feed.says_orders(2)

    with pull.failing_to_commit(), pytest.raises(CommitFailed, match="disk is full"):
        await pull.catches_up()

    assert await pull.taken() == []
    assert await pull.inbox() == []
    assert await pull.cursor() is None
    await pull.step()
    assert await pull.taken() == said


async def test_a_reaction_that_fails_holds_the_cursor(pull: Pull) -> None:
    said = await pull.feed.says_orders(2)
    await pull.renames("notification", "away")

    with pytest.raises(CursorHeld, match="2 of 2 events failed"):
        await pull.catches_up()
    assert await pull.cursor() is None
    assert await pull.dead() == []

    await pull.renames("away", "notification")
    await pull.step()
    assert await pull.taken() == said


async def test_an_idle_second_costs_one_call_and_writes_nothing(pull: Pull) -> None:
    await pull.feed.says_orders(1)
    await pull.catches_up()
    pull.now += CALM
    await pull.step()
    pull.asked.clear()

    with pull.counting() as statements:
        assert await pull.step() is False

    assert len(pull.asked) == 1
    begin = [] if pull.database.is_shared else ["BEGIN"]
    assert statements == {
        "notification": [*begin, *["SELECT"] * 2],
        "order": [*begin, "SELECT"],
    }
