"""The whole system in virtual time: whatever goes wrong, nothing is lost, twice or stuck."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from unittest.mock import patch
from uuid import uuid4

import pytest
from sqlalchemy import ColumnElement
from sqlalchemy.ext.asyncio import AsyncSession

from services.notification import outcomes
from tests.simulation.run import run
from tests.simulation.schedule import PROFILES, Fault, Schedule, schedule
from tests.simulation.shrink import shrink
from tests.simulation.virtual_loop import Deadlock, VirtualLoop

SEEDS = 6
"""Of each profile in an ordinary test run; `make simulate SEEDS=1000` runs more."""

DROP = Fault("message", "drop", 1)
DUPLICATE = Fault("message", "duplicate", 1)
HARMLESS = (Fault("ask", "empty", 3), Fault("clock", "notification", 2.0, 3600.0))


def planned(profile: str, seeds: int) -> list[Schedule]:
    place = [*PROFILES].index(profile)
    return [schedule(place + len(PROFILES) * each) for each in range(seeds)]


def with_faults(*faults: Fault) -> Schedule:
    return Schedule(0, "worst", 3, faults)


@contextmanager
def without(safeguard: str, instead: object) -> Iterator[None]:
    """Put something else in a safeguard's place; what is stuck is not waited for as long as usual."""
    with patch(safeguard, instead), patch("tests.simulation.run.DEADLINE", 15.0):
        yield


async def nothing_is_pulled(_reconciler: object) -> bool:
    return False


async def everything_is_new(*_: object) -> bool:
    return True


async def ready_again(
    session: AsyncSession,
    which: ColumnElement[bool],
    _policy: object,
    _reason: object,
    due: datetime,
) -> None:
    await outcomes.give_back(session, which, "as if it had not been sent", due)


def a_key_of_its_own(_notification: object) -> str:
    return str(uuid4())


@pytest.mark.parametrize("profile", PROFILES)
def test_nothing_is_lost_twice_or_stuck_whatever_goes_wrong(profile: str) -> None:
    for each in planned(profile, SEEDS):
        assert run(each).violations == [], f"seed {each.seed}"


@pytest.mark.parametrize("profile", PROFILES)
def test_a_seed_does_the_same_in_every_run(profile: str) -> None:
    for each in planned(profile, 2):
        assert run(each).digest == run(each).digest


def test_another_seed_does_something_else() -> None:
    digests = {run(each).digest for each in planned("worst", 2)}

    assert len(digests) == 2


def test_a_lost_message_is_found_where_nothing_is_pulled() -> None:
    with without("chassis.reconciler.Reconciler.step", nothing_is_pulled):
        found = run(with_faults(DROP)).violations

    assert any(each.startswith("lost: ") for each in found)


def test_a_duplicate_is_found_where_the_inbox_takes_everything_for_new() -> None:
    with without("chassis.inbox.claim", everything_is_new):
        found = run(with_faults(DUPLICATE)).violations

    assert any(each.startswith("dead letter: ") for each in found)


def test_a_second_mail_is_found_where_an_unknown_one_counts_as_not_sent() -> None:
    with without("services.notification.outcomes.mark_unknown", ready_again):
        found = run(with_faults(Fault("send", "drop after", 1))).violations

    assert any(each.startswith("twice: 2 mails") for each in found)


def test_a_second_mail_is_found_where_each_try_has_a_key_of_its_own() -> None:
    by_api = Schedule(len(PROFILES), "worst", 3, (Fault("send", "drop after", 1),))
    assert by_api.mails_by_api
    assert run(by_api).violations == []

    with without("services.notification.channels.key", a_key_of_its_own):
        found = run(by_api).violations

    assert any(each.startswith("twice: 2 mails") for each in found)


def test_of_a_schedule_that_fails_only_the_faults_that_matter_are_left() -> None:
    schedule = with_faults(HARMLESS[0], DROP, HARMLESS[1])

    with without("chassis.reconciler.Reconciler.step", nothing_is_pulled):
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


def test_a_loop_in_which_nothing_can_happen_any_more_says_so() -> None:
    loop = VirtualLoop()

    with pytest.raises(Deadlock):
        loop.run_until_complete(asyncio.Event().wait())

    loop.clear()


def test_an_hour_passes_at_once() -> None:
    loop = VirtualLoop()

    loop.run_until_complete(asyncio.sleep(3600.0))

    assert loop.time() == 3600.0
    loop.clear()
