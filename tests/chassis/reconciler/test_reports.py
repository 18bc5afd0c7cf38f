"""What is said of repairs: each event by its id, waited for or not; and how far behind a reaction was."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from chassis.inbox.inbox import take_in
from chassis.reconciler.grace_period import LOST, SETTLE
from chassis.reconciler.report import Lag, RepairLog
from chassis.runtime import clock
from services.notification.reactions.notify_customer_on_order_created import reaction
from tests.support.feeds import Letter, order_created
from tests.support.pulls import Pull, pulling
from tests.support.simulated_dapr import SimulatedDapr


@pytest.fixture
async def pull(tmp_path: Path, dapr: SimulatedDapr) -> AsyncIterator[Pull]:
    """Make a feed, and who pulls from it."""
    async with pulling(tmp_path, dapr) as made:
        yield made


async def catches_up_with(pull: Pull, number: int) -> list[Letter]:
    """Let so many events be said that none is waited for, and take them in."""
    letters = [order_created() for _ in range(number)]
    await pull.feed.says(*letters)
    await pull.catches_up()
    return letters


async def pushes(pull: Pull, *letters: Letter) -> None:
    """Let the broker bring these after all."""
    for _, envelope in letters:
        await take_in(pull.database, reaction, envelope.model_dump_json().encode())


def lines(caplog: pytest.LogCaptureFixture, word: str) -> list[str]:
    """Give the lines of the log that have a word in them."""
    return [each.getMessage() for each in caplog.records if word in each.getMessage()]


@pytest.mark.parametrize("number", [1, 20, 21, 60])
def test_every_event_is_named_in_a_line_of_twenty_however_long_the_ids_are(
    caplog: pytest.LogCaptureFixture, number: int
) -> None:
    ids = [f"{each:0>200}" for each in range(number)]

    RepairLog("OrderCreated").lost(ids)

    assert re.findall(r"\d{200}", caplog.text) == ids
    assert len(caplog.records) == -(-number // 20)
    assert caplog.text.count(f"{number} of OrderCreated were lost") == 1


def test_each_line_states_how_many_there_were_since_the_start(
    caplog: pytest.LogCaptureFixture,
) -> None:
    said = RepairLog("OrderCreated")

    said.late(["one"], 7)
    said.pulled(["two", "three"])
    said.late(["four", "five"], 8)

    assert lines(caplog, "were late") == [
        "1 of OrderCreated were late; 7 s are given now; 1 since the start (one)",
        "2 of OrderCreated were late; 8 s are given now; 3 since the start (four, five)",
    ]


async def test_what_was_taken_in_while_catching_up_is_late_or_lost_too(
    pull: Pull, caplog: pytest.LogCaptureFixture
) -> None:
    letters = await catches_up_with(pull, 150)
    await pushes(pull, *letters[:2])

    pull.now += LOST
    await pull.step()

    late = "2 of OrderCreated were late; 3 s are given now; 2 since the start"
    (said,) = lines(caplog, late)
    assert all(envelope.id in said for _, envelope in letters[:2])
    lost = "148 of OrderCreated were lost by the broker; 148 since the start"
    assert len(lines(caplog, lost)) == 1


async def test_of_many_that_came_after_all_none_is_said_to_be_lost(
    pull: Pull, caplog: pytest.LogCaptureFixture
) -> None:
    letters = await catches_up_with(pull, 1200)
    await pushes(pull, letters[0], letters[-1])

    pull.now += LOST
    await pull.step()

    (late,) = lines(caplog, "2 of OrderCreated were late")
    assert letters[-1][1].id in late
    lost = re.findall(r"[0-9a-f-]{36}", " ".join(lines(caplog, "lost")))
    assert {*lost} == {envelope.id for _, envelope in letters[1:-1]}


async def test_a_reaction_that_is_behind_says_how_far_and_when_it_is_up_again(
    pull: Pull, caplog: pytest.LogCaptureFixture
) -> None:
    long_ago = clock.now() - timedelta(hours=1)
    await pull.feed.says(*(said_at(long_ago) for _ in range(150)))
    await pull.step()
    pull.now += SETTLE
    await pull.step()
    pull.now += 2

    await pull.step()
    assert lines(caplog, "up again") == []
    await pull.step()

    (begun,) = lines(caplog, "is behind by")
    assert re.fullmatch(
        r"notify_customer_on_order_created is behind by 36\d\d s: "
        "the first 150 of OrderCreated that it lacks are taken in",
        begun,
    )
    (up,) = lines(caplog, "is up again")
    assert "in 2 s it took in 150 of OrderCreated; it was behind by 36" in up


def said_at(moment: object) -> Letter:
    """Make an OrderCreated that was said then."""
    said, envelope = order_created()
    return said, envelope.model_copy(update={"time": moment})


async def test_what_is_repaired_one_by_one_is_no_lag(
    pull: Pull, caplog: pytest.LogCaptureFixture
) -> None:
    await catches_up_with(pull, 3)

    assert lines(caplog, "is behind") == lines(caplog, "up again") == []


async def test_what_is_pulled_alone_is_behind_while_pages_are_full(
    pull: Pull, caplog: pytest.LogCaptureFixture
) -> None:
    pull.reconciler.settle, pull.reconciler.at_once = 0.0, 10

    await catches_up_with(pull, 25)

    assert len(lines(caplog, "is behind")) == 1
    (up,) = lines(caplog, "is up again")
    assert "it took in 25 of OrderCreated" in up


async def test_what_a_rebuild_restores_is_neither_behind_nor_lost(
    pull: Pull, caplog: pytest.LogCaptureFixture
) -> None:
    await pull.feed.says_orders(150)
    rebuild = pull.reconciler
    rebuild.rebuilt_until = (await pull.feed.page())["end"]
    while await rebuild.step():
        pass

    pull.now += LOST
    await rebuild.step()

    assert len(await pull.taken()) == 150
    assert caplog.records == []


@pytest.mark.parametrize("time", [None, 7, "", "noon", "2026-01-31T08:15:30"])
def test_an_event_without_a_time_has_no_age(
    caplog: pytest.LogCaptureFixture, time: object
) -> None:
    lag = Lag("a reaction", "OrderCreated", lambda: 0)

    lag.note([{"time": time}, {}], is_behind=True)

    assert "a reaction is behind by 0 s: the first 2 of OrderCreated" in caplog.text
