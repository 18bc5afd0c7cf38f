"""What a process takes from its surroundings, and how a simulation brings its own."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from chassis.runtime import clock
from chassis.runtime.clock import Surroundings


@contextmanager
def surrounded_by(surroundings: Surroundings) -> Iterator[None]:
    """Replace the clock and the source of random bits."""
    token = clock.current.set(surroundings)
    try:
        yield
    finally:
        clock.current.reset(token)


def test_the_clock_is_the_machines_and_in_utc() -> None:
    assert clock.now().tzinfo is UTC
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(seconds=5)


def test_a_simulation_brings_its_own_clock_and_chance() -> None:
    then = datetime(2026, 1, 31, tzinfo=UTC)

    with surrounded_by(Surroundings(lambda: then, lambda bits: 2**bits - 1)):
        assert clock.now() == then
        assert clock.random_bits(3) == 7


@pytest.mark.parametrize("microsecond", [0, 1, 999, 1_000, 123_999, 999_999])
def test_a_time_for_the_wire_is_cut_to_the_millisecond_and_never_in_the_future(
    microsecond: int,
) -> None:
    moment = datetime(2026, 1, 31, 8, 15, 30, microsecond, tzinfo=UTC)

    with surrounded_by(Surroundings(lambda: moment)):
        cut = clock.now_ms()

    assert cut.microsecond % 1000 == 0
    assert timedelta() <= moment - cut < timedelta(milliseconds=1)


@pytest.mark.parametrize("bits", [0, 2**31, 2**32 - 1])
def test_jitter_stays_between_its_bounds(bits: int) -> None:
    with surrounded_by(Surroundings(bits=lambda _: bits)):
        assert 2 <= clock.jitter(2, 3) < 3


@pytest.mark.parametrize("number", [1, 63, 64, 65, 74, 128])
def test_so_many_bits_are_random_as_were_asked_for(number: int) -> None:
    some = [clock.random_bits(number) for _ in range(200)]

    assert max(some) < 2**number
    union, intersection = 0, 2**number - 1
    for each in some:
        union, intersection = union | each, intersection & each
    assert (union, intersection) == (2**number - 1, 0)


def test_no_two_threads_are_given_the_same_bits() -> None:
    def some(_: int) -> list[int]:
        return [clock.random_bits(64) for _ in range(5000)]

    with ThreadPoolExecutor(8) as threads:
        given = [each for of_one in threads.map(some, range(8)) for each in of_one]

    assert len(set(given)) == 8 * 5000


def test_a_forked_process_is_given_other_bits() -> None:
    clock.random_bits(64)
    reader, writer = os.pipe()
    if not (child := os.fork()):
        os.write(writer, clock.random_bits(64).to_bytes(8))
        os._exit(0)
    os.waitpid(child, 0)

    assert int.from_bytes(os.read(reader, 8)) != clock.random_bits(64)
    os.close(reader)
    os.close(writer)
