"""The grace period: it doubles while pushes of pulled events still arrive, and is short after a calm minute."""

import pytest

from chassis.reconciler.grace_period import CALM, LONGEST, SHORTEST, GracePeriod


class Clock:
    """A clock that a test sets."""

    now = 1000.0

    def __call__(self) -> float:
        """Return its time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Return a clock."""
    return Clock()


@pytest.fixture
def period(clock: Clock) -> GracePeriod:
    """Return a grace period of a process that has counted once."""
    made = GracePeriod(clock)
    made.note_late(5)
    return made


def test_what_was_late_before_the_start_changes_nothing(period: GracePeriod) -> None:
    assert period.seconds == SHORTEST


def test_it_doubles_while_late_pushes_arrive_up_to_its_longest(
    period: GracePeriod,
) -> None:
    seconds, late = [], 0
    for rows in (6, 7, 20, 21, 22):
        late += period.note_late(rows)
        seconds.append(period.seconds)

    assert seconds == [6, 12, 24, LONGEST, LONGEST]
    assert late == 17


def test_it_is_the_shortest_again_after_a_calm_minute(
    period: GracePeriod, clock: Clock
) -> None:
    period.note_late(6)
    period.note_late(7)

    clock.now += CALM - 0.1
    period.note_late(7)
    assert period.seconds == 12
    clock.now += 0.1

    assert period.seconds == SHORTEST


def test_a_late_push_after_a_calm_minute_doubles_the_shortest(
    period: GracePeriod, clock: Clock
) -> None:
    for rows in (6, 7, 8):
        period.note_late(rows)
    clock.now += CALM

    period.note_late(9)

    assert period.seconds == 2 * SHORTEST


def test_retention_of_old_events_is_no_late_push(period: GracePeriod) -> None:
    late = [period.note_late(rows) for rows in (2, 3)]

    assert (period.seconds, late) == (2 * SHORTEST, [0, 1])


def test_late_pushes_are_counted_for_a_minute_after_a_pull(
    period: GracePeriod, clock: Clock
) -> None:
    assert not period.watches()
    period.note_pulled()
    assert period.watches()

    clock.now += CALM

    assert not period.watches()


def test_they_are_counted_once_at_the_start(clock: Clock) -> None:
    period = GracePeriod(clock)

    assert period.watches()
    period.note_late(7)

    assert not period.watches()


def test_a_mark_is_due_when_it_is_as_old_as_the_period_is_by_then(
    period: GracePeriod, clock: Clock
) -> None:
    period.note_mark("a mark")
    period.note_late(6)

    clock.now += 2 * SHORTEST - 0.1
    assert period.due() is None
    clock.now += 0.1

    assert period.due() == "a mark"


def test_the_newest_mark_that_is_due_stays_due(
    period: GracePeriod, clock: Clock
) -> None:
    for mark in ("first", "second", "third"):
        period.note_mark(mark)
        clock.now += 1
    clock.now += SHORTEST - 2

    assert [period.due(), period.due()] == ["second", "second"]


def test_no_mark_of_another_feed_is_due(period: GracePeriod, clock: Clock) -> None:
    period.note_mark("first")
    clock.now += SHORTEST
    assert period.due()
    period.note_mark("second")

    period.forget_marks()
    clock.now += SHORTEST

    assert period.due() is None
