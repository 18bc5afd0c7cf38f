"""What a process takes from its surroundings, and how somebody else may bring it."""

from datetime import UTC, datetime, timedelta

import pytest

from chassis.runtime import clock
from chassis.runtime.clock import Ambient


def test_the_clock_is_the_machines_and_in_utc() -> None:
    """A record's time can be compared with any other."""
    assert clock.now().tzinfo is UTC
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(seconds=5)


def test_whoever_brings_a_clock_and_a_dice_gets_what_they_say() -> None:
    """A simulation decides what time it is, and what chance says."""
    then = datetime(2026, 1, 31, tzinfo=UTC)
    token = clock.current.set(Ambient(lambda: then, lambda bits: 2**bits - 1))
    try:
        assert clock.now() == then
        assert clock.random_bits(3) == 7
    finally:
        clock.current.reset(token)


@pytest.mark.parametrize("bits", [0, 2**31, 2**32 - 1])
def test_jitter_stays_between_its_bounds(bits: int) -> None:
    """It is never below the least, and never reaches the most."""
    token = clock.current.set(Ambient(bits=lambda _: bits))
    try:
        assert 2 <= clock.jitter(2, 3) < 3
    finally:
        clock.current.reset(token)
