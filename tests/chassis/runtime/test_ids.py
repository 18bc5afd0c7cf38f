"""Ids: unique, of version 7, and in the order of the time they were made."""

import time
from uuid import RFC_4122

from chassis.runtime.ids import uuid7


def milliseconds() -> int:
    """Return the time in Unix milliseconds."""
    return time.time_ns() // 1_000_000


def test_an_id_is_a_uuid_of_version_7() -> None:
    made = [uuid7() for _ in range(1000)]

    assert {each.version for each in made} == {7}
    assert {each.variant for each in made} == {RFC_4122}


def test_an_id_holds_the_time_at_which_it_was_made() -> None:
    before = milliseconds()
    made = uuid7()
    after = milliseconds()

    assert before <= made.int >> 80 <= after


def test_ids_sort_by_the_time_they_were_made() -> None:
    made = []
    for _ in range(5):
        made.append(uuid7())
        while milliseconds() <= made[-1].int >> 80:
            pass

    assert made == sorted(made)
    assert [str(each) for each in made] == sorted(str(each) for each in made)


def test_no_two_ids_are_the_same() -> None:
    made = [uuid7() for _ in range(10_000)]

    assert len(set(made)) == len(made)


def test_the_bits_that_are_random_take_both_values() -> None:
    fixed = 0xF << 76 | 0b11 << 62
    random_bits = ((1 << 80) - 1) & ~fixed

    union = intersection = uuid7().int
    for _ in range(1000):
        made = uuid7().int
        union, intersection = union | made, intersection & made

    assert union & random_bits == random_bits
    assert intersection & random_bits == 0
