"""What an operator reads of the pull: what the broker missed, and a reaction that is far behind."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chassis.reconciler.grace_period import CALM, SHORTEST
from chassis.reconciler.reconciler import FAR_BEHIND, NAMED
from tests.support.feeds import Letter, order_created
from tests.support.pulls import Pull, pulling
from tests.support.simulated_dapr import SimulatedDapr

NAME = "reconciler notify_customer_on_order_created"


@pytest.fixture
async def pull(
    each_database: None, tmp_path: Path, dapr: SimulatedDapr
) -> AsyncIterator[Pull]:
    """Return a feed and its consumer."""
    async with pulling(tmp_path, dapr) as made:
        yield made


async def misses(pull: Pull, number: int) -> list[Letter]:
    """Publish so many events that are never pushed, and pull them."""
    letters = [order_created() for _ in range(number)]
    await pull.feed.says(*letters)
    await pull.catches_up()
    return letters


def lines(caplog: pytest.LogCaptureFixture, word: str) -> list[str]:
    """Return the lines of the log that contain a word."""
    return [each.getMessage() for each in caplog.records if word in each.getMessage()]


async def test_what_the_broker_missed_is_one_line_with_ids_and_totals(
    pull: Pull, caplog: pytest.LogCaptureFixture
) -> None:
    letters = await misses(pull, 2)
    await pull.is_pushed(letters[0])
    await pull.step()
    pull.now += CALM
    (third,) = await misses(pull, 1)

    first, second = (envelope["id"] for _, envelope in letters)
    missed = "OrderCreated events missed by the broker, pulled from the feed"
    assert lines(caplog, "missed") == [
        f"{NAME}: 2 {missed} ({first}, {second})",
        f"{NAME}: 1 {missed} ({third[1]['id']})",
    ]


async def test_a_line_names_so_many_events_and_counts_the_others(
    pull: Pull, caplog: pytest.LogCaptureFixture
) -> None:
    letters = await misses(pull, NAMED + 3)

    (line,) = lines(caplog, "missed")
    named = [envelope["id"] for _, envelope in letters if envelope["id"] in line]
    assert named == [envelope["id"] for _, envelope in letters[:NAMED]]
    assert "and 3 more" in line


async def test_a_late_push_makes_the_grace_period_longer(pull: Pull) -> None:
    (letter,) = await misses(pull, 1)
    await pull.is_pushed(letter)
    await pull.feed.says_orders(1)
    await pull.step()

    pull.now += SHORTEST
    await pull.step()
    assert len(await pull.taken()) == 1
    pull.now += SHORTEST
    await pull.step()

    assert len(await pull.taken()) == 2


async def test_a_reaction_that_is_far_behind_logs_when_it_starts_and_has_caught_up(
    pull: Pull, caplog: pytest.LogCaptureFixture
) -> None:
    await pull.feed.says_orders(FAR_BEHIND + 200)
    await pull.step()
    pull.now += SHORTEST
    for _ in range(4):
        await pull.step()
        pull.now += 2
    assert lines(caplog, "far behind") == []

    await pull.step()
    (started,) = lines(caplog, "far behind")
    assert lines(caplog, "caught up") == []
    pull.now += 2
    await pull.step()

    (ended,) = lines(caplog, "caught up")
    assert started == f"{NAME}: is far behind, and catches up without a pause"
    assert ended == f"{NAME}: has caught up: 1200 events in 8 s"


async def test_few_events_are_no_reaction_that_is_far_behind(
    pull: Pull, caplog: pytest.LogCaptureFixture
) -> None:
    await misses(pull, 300)

    assert lines(caplog, "behind") == lines(caplog, "caught up") == []


async def test_what_a_rebuild_restores_was_not_missed(
    pull: Pull, caplog: pytest.LogCaptureFixture
) -> None:
    await pull.feed.says_orders(150)
    rebuild = pull.reconciler
    rebuild.rebuilt_until = (await pull.feed.page())["highWaterMark"]
    while await rebuild.step():
        pass

    assert len(await pull.taken()) == 150
    assert caplog.records == []
