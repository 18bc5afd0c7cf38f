"""The whole system in virtual time: whatever goes wrong, nothing is lost, twice or stuck."""

import asyncio
import itertools
import subprocess
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from unittest.mock import patch
from uuid import uuid4

import pytest
from sqlalchemy import ColumnElement, false
from sqlalchemy.orm import Session

from chassis.inbox import Arrival
from services.notification import outcomes
from verification.simulation.forgeries import FORGERIES, REPLAY
from verification.simulation.profiles import PROFILES
from verification.simulation.run import run
from verification.simulation.schedule import Fault, Schedule, schedule
from verification.simulation.shrink import shrink
from verification.simulation.virtual_loop import Deadlock, TooLong, VirtualLoop

TWICE, TEN = 50, 10
"""Seeds that are run in this process and in another, so many at once."""
SEEDS = 25
"""Of each profile in an ordinary test run, after those; `make simulate SEEDS=1000` runs more."""
LIMIT = 150.0
"""Seconds that the other process has."""
DROP = Fault("message", "drop", 1)
DUPLICATE = Fault("message", "duplicate", 1)
HARMLESS = (Fault("ask", "empty", 3), Fault("clock", "notification", 2.0, 3600.0))


def planned(profile: str, seeds: int) -> list[Schedule]:
    return [schedule(TWICE + each, profile) for each in range(seeds)]


def with_faults(*faults: Fault) -> Schedule:
    return Schedule(0, "worst", 3, faults)


@contextmanager
def without(guard: str, instead: object) -> Iterator[None]:
    """Put something else in the place of a guard; what is stuck is not waited for as long as usual."""
    with patch(guard, instead), patch("verification.simulation.run.DEADLINE", 15.0):
        yield


async def nothing_is_pulled(_reconciler: object) -> bool:
    return False


def everything_is_new(
    _session: Session, _reaction: str, ids: Collection[str], _arrival: Arrival
) -> set[str]:
    return set(ids)


def ready_again(
    session: Session,
    which: ColumnElement[bool],
    policy: object,
    reason: object,
    due_at: datetime,
) -> None:
    outcomes.give_back(session, which, "as if it had not been sent", due_at)


def a_key_of_its_own(_notification: object) -> str:
    return str(uuid4())


@pytest.mark.parametrize("profile", PROFILES)
def test_nothing_is_lost_twice_or_stuck_whatever_goes_wrong(profile: str) -> None:
    for each in planned(profile, SEEDS):
        assert run(each).violations == [], f"--profile {profile} --seed {each.seed}"


@pytest.mark.parametrize("act", sorted({*FORGERIES, REPLAY}))
def test_whoever_knows_the_brokers_password_alone_deceives_nobody(act: str) -> None:
    forgery = Fault("message", act, 1)

    assert run(Schedule(0, "forged", 2, (forgery,))).violations == []


@pytest.mark.parametrize("first", range(0, TWICE, TEN))
def test_seeds_do_the_same_in_another_process_whose_hashes_are_others(
    first: int,
) -> None:
    program = [sys.executable, "-m", "verification.simulation", str(TEN), "--digests"]
    command = ["env", "PYTHONHASHSEED=7", *program, "--from", str(first)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        here = [run(schedule(each)) for each in range(first, first + TEN)]
        there, _ = process.communicate(timeout=LIMIT)

    assert [each.digest for each in here] == there.decode().split()
    assert [each.violations for each in here] == [[]] * TEN


@pytest.mark.parametrize("profile", PROFILES)
def test_a_seed_does_the_same_after_others_and_in_the_same_process(
    profile: str,
) -> None:
    first, other = planned(profile, 2)
    before, _, after = run(first), run(other), run(first)

    assert before.digest == after.digest


def test_another_seed_does_something_else() -> None:
    digests = {run(each).digest for each in planned("worst", 2)}

    assert len(digests) == 2


def test_a_lost_message_is_found_where_nothing_is_pulled() -> None:
    with without("chassis.reconciler.reconciler.Reconciler.step", nothing_is_pulled):
        found = run(with_faults(DROP)).violations

    assert any(each.startswith("lost: ") for each in found)


def test_a_duplicate_is_found_where_everything_is_new_to_the_inbox() -> None:
    with without("chassis.inbox.inbox.claim", everything_is_new):
        found = run(with_faults(DUPLICATE)).violations

    assert any(each.startswith("dead letter: ") for each in found)


def test_a_second_mail_is_found_where_an_unknown_one_counts_as_not_sent() -> None:
    with without("services.notification.outcomes.mark_unknown", ready_again):
        found = run(with_faults(Fault("send", "drop after", 1))).violations

    assert any(each.startswith("twice: 2 mails") for each in found)


def test_a_second_mail_is_found_where_each_try_has_a_key_of_its_own() -> None:
    faults = (Fault("send", "drop after", 1),)
    by_api = replace(with_faults(*faults), mails_by_api=True)
    assert run(by_api).violations == []

    with without("services.notification.channels.key", a_key_of_its_own):
        found = run(by_api).violations

    assert any(each.startswith("twice: 2 mails") for each in found)


def test_a_second_mail_is_found_where_it_was_to_be_held_back() -> None:
    faults = (Fault("send", "drop after", 1),)
    schedule = replace(with_faults(*faults), unknown_mail="hold")

    with without("services.notification.outcomes.true", false):
        found = run(schedule).violations

    assert any(each.startswith("twice: 2 mails") for each in found)


def test_a_schedule_that_fails_is_shrunk_to_the_faults_that_matter() -> None:
    schedule = with_faults(HARMLESS[0], DROP, HARMLESS[1])

    with without("chassis.reconciler.reconciler.Reconciler.step", nothing_is_pulled):
        kept = shrink(
            schedule,
            lambda fewer: any("lost: " in each for each in run(fewer).violations),
        )

    assert kept == [1]


def test_two_faults_that_fail_together_are_both_left() -> None:
    faults = tuple(Fault("crash", "order", each) for each in range(1, 10))

    kept = shrink(
        with_faults(*faults), lambda fewer: {faults[2], faults[7]} <= {*fewer.faults}
    )

    assert kept == [2, 7]


def test_a_loop_in_which_nothing_can_happen_any_more_raises_deadlock() -> None:
    loop = VirtualLoop()

    with pytest.raises(Deadlock):
        loop.run_until_complete(asyncio.Event().wait())

    loop.clear()


def test_a_run_without_an_end_is_broken_off() -> None:
    loop = VirtualLoop(max_steps=100)

    async def forever() -> None:
        for _ in itertools.count():
            await asyncio.sleep(0)

    with pytest.raises(TooLong):
        loop.run_until_complete(forever())

    loop.clear()


def test_an_hour_passes_at_once() -> None:
    loop = VirtualLoop()

    loop.run_until_complete(asyncio.sleep(3600.0))

    assert loop.time() == 3600.0
    loop.clear()
