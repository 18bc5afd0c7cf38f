"""The engine: each switch acts on both programs, scenarios play and settle, and the verdict is what remained."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.eventually import eventually
from toolchain.runfile import ROOT
from verification.playground import engine
from verification.playground.engine import Playground, Refused, working
from verification.playground.scenarios import BY_NAME, SCENARIOS, Scenario
from verification.playground.stand_in import StandIn


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look and settle in hundredths of a second."""
    monkeypatch.setattr(engine, "LOOKS_EVERY", 0.01)
    monkeypatch.setattr(engine, "QUIET", 0.02)


@pytest.fixture
async def playground() -> AsyncIterator[Playground]:
    """Run a playground of stand-ins."""
    sides = [StandIn("ours"), StandIn("ordinary", notifies=2)]
    async with working(Playground(sides)) as made:
        yield made
        sides[0].may_kill.set()


def done(playground: Playground) -> list[list[str]]:
    """Return what was done to each program."""
    return [side.done for side in playground.sides if isinstance(side, StandIn)]


async def idle(playground: Playground) -> None:
    """Wait until nothing is under way."""

    async def is_idle() -> bool:
        return not playground.doing

    await eventually(is_idle, "nothing is under way", 10)


async def test_a_switch_acts_on_both_programs(playground: Playground) -> None:
    for verb in ("kill", "down", "up", "freeze", "up"):
        playground.do(verb, "broker")
        await idle(playground)

    acted = [f"{verb} broker" for verb in ("kill", "down", "up", "freeze", "up")]
    assert done(playground) == [acted, acted]
    assert not playground.down | playground.frozen


async def test_messages_are_disturbed_for_both_until_that_is_switched_off(
    playground: Playground,
) -> None:
    playground.do("on", "duplicate")
    await idle(playground)
    assert [side.courier.duplicates for side in playground.sides] == [True, True]

    playground.do("off", "duplicate")
    await idle(playground)
    assert [side.courier.duplicates for side in playground.sides] == [False, False]


async def test_a_safeguard_is_taken_out_of_ours_alone(playground: Playground) -> None:
    for verb, target in (("out", "outbox"), ("out", "pull"), ("in", "outbox")):
        playground.do(verb, target)
        await idle(playground)

    assert done(playground) == [
        [
            "order without outbox",
            "notification without outbox, pull",
            "order without pull",
        ],
        [],
    ]


async def test_what_is_under_way_with_a_part_is_not_begun_a_second_time(
    playground: Playground,
) -> None:
    (ours, _) = playground.sides
    assert isinstance(ours, StandIn)
    ours.may_kill.clear()

    playground.do("kill", "broker")
    with pytest.raises(Refused, match="not done yet"):
        playground.do("kill", "broker")
    playground.do("kill", "order")

    ours.may_kill.set()
    await idle(playground)
    assert done(playground)[0] == ["kill broker", "kill order"]


async def test_settling_waits_for_what_is_under_way_with_a_part(
    playground: Playground,
) -> None:
    (ours, _) = playground.sides
    assert isinstance(ours, StandIn)
    ours.may_kill.clear()

    playground.do("kill", "broker")
    playground.do("settle")
    await asyncio.sleep(0.05)
    assert playground.doing.keys() == {"broker", "scenario"}
    assert not any("all faults are over" in each.text for each in playground.log)
    ours.may_kill.set()
    await idle(playground)

    assert playground.verdict


async def test_two_safeguards_of_a_service_are_taken_out_one_after_the_other(
    playground: Playground,
) -> None:
    playground.do("out", "inbox")

    for verb, target in (("out", "pull"), ("kill", "notification")):
        with pytest.raises(Refused, match="not done yet"):
            playground.do(verb, target)


async def test_a_part_that_is_down_can_only_be_started(playground: Playground) -> None:
    playground.do("down", "broker")
    await idle(playground)

    for verb in ("kill", "freeze", "down"):
        with pytest.raises(Refused, match="start it first"):
            playground.do(verb, "broker")
    playground.do("up", "broker")


@pytest.mark.parametrize(
    ("verb", "target"),
    [("explode", "broker"), ("kill", "outbox"), ("out", "broker"), ("play", "chess")],
)
async def test_there_is_no_other_switch(
    playground: Playground, verb: str, target: str
) -> None:
    with pytest.raises(KeyError):
        playground.do(verb, target)


@pytest.mark.parametrize("rate", ["51", "-1", "many", "", "99999999999999", "1.5"])
async def test_orders_a_second_are_bounded(playground: Playground, rate: str) -> None:
    with pytest.raises(Refused, match="from 0 to 50"):
        playground.do("orders", rate)
    assert playground.rate == 0


async def test_orders_come_in_until_they_are_enough(
    playground: Playground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "MOST_ORDERS", 3)

    playground.do("orders", "50")

    async def is_over() -> bool:
        return playground.rate == 0

    await eventually(is_over, "no more orders are placed", 10)
    assert [side.counts().accepted for side in playground.sides] == [3, 3]
    playground.do("orders", "50")
    assert playground.rate == 0
    assert "3 orders are enough" in "".join(each.text for each in playground.log)


async def test_settling_ends_all_faults_and_judges_what_remains(
    playground: Playground,
) -> None:
    ours, _ = playground.sides
    for verb, target in (("down", "broker"), ("on", "drop"), ("freeze", "order")):
        playground.do(verb, target)
        await idle(playground)
    for side in playground.sides:
        side.order("Jane Doe")
    ours.tally.accepted("f" * 32)

    playground.do("settle")
    await idle(playground)

    assert playground.verdict
    text = "Ours: 1 lost of 2 orders. Ordinary: 1 notified twice of 1 orders."
    assert playground.verdict.text == text
    assert not playground.verdict.is_good
    assert not playground.down | playground.frozen | playground.messages
    assert not ours.courier.drops


@pytest.fixture
def short() -> Iterator[Scenario]:
    """Add a scenario that lasts a moment."""
    steps = ((0.05, "kill", "broker"), (0.0, "out", "pull"))
    added = Scenario("short", "Short", "It is short.", steps, rate=50)
    BY_NAME["short"] = added
    yield added
    del BY_NAME["short"]


async def test_a_scenario_plays_settles_and_puts_everything_back(
    playground: Playground, short: Scenario
) -> None:
    playground.do("play", short.name)
    with pytest.raises(Refused, match="stop it first"):
        playground.do("orders", "1")
    await idle(playground)

    assert done(playground)[0] == [
        "kill broker",
        "notification without pull",
        "notification without nothing",
    ]
    assert playground.rate == 0
    assert playground.verdict
    assert playground.verdict.is_good
    counts = playground.verdict.counts
    assert counts["ours"].notified == counts["ordinary"].twice > 0


async def test_a_scenario_that_is_stopped_finishes_what_it_is_at(
    playground: Playground, short: Scenario
) -> None:
    (ours, _) = playground.sides
    assert isinstance(ours, StandIn)
    ours.may_kill.clear()
    playground.do("play", short.name)

    async def kills() -> bool:
        return any("killed" in each.text for each in playground.log)

    await eventually(kills, "the scenario kills the broker", 10)
    playground.do("stop")
    await asyncio.sleep(0)
    assert playground.doing
    ours.may_kill.set()
    await idle(playground)

    assert done(playground)[0] == ["kill broker"]
    assert playground.rate == 0


async def test_counters_begin_anew(playground: Playground) -> None:
    for side in playground.sides:
        side.order("Jane Doe")

    playground.do("anew")

    assert [side.counts().accepted for side in playground.sides] == [0, 0]


def test_the_document_records_every_scenario_with_its_command() -> None:
    document = (ROOT / "docs" / "playground.md").read_text()

    assert re.findall(r"`--play (\S+)`", document) == [each.name for each in SCENARIOS]


def test_every_step_of_a_scenario_is_a_switch() -> None:
    steps = [step for each in SCENARIOS for step in each.steps]

    assert {(verb, what) for _, verb, what in steps if what} <= engine.SWITCHES
