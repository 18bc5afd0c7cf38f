"""How far a pull is behind, by the high-water marks that its feed reported."""

from dataclasses import dataclass
from uuid import UUID

import pytest

from chassis.feed.cursor import Cursor
from chassis.reconciler.progress import MOST_MARKS, Progress


@dataclass
class Seconds:
    """A clock that a test sets."""

    now: float = 0.0

    def __call__(self) -> float:
        """Return the second that it is."""
        return self.now


def at(position: int) -> str:
    """Return the cursor of a position."""
    return str(Cursor(UUID(int=1), 0, position, "e"))


def test_what_has_reached_the_newest_mark_is_not_behind() -> None:
    progress = Progress(Seconds())
    progress.note(at(5))

    assert progress.behind(at(5)) == (0, 0.0)


def test_it_is_behind_since_the_oldest_mark_that_it_has_not_reached() -> None:
    clock = Seconds()
    progress = Progress(clock)
    for clock.now in range(10):
        progress.note(at(10 + int(clock.now)))

    assert progress.behind(at(16)) == (3, 2.0)


def test_a_quiet_hour_before_an_event_is_no_lag() -> None:
    clock = Seconds()
    progress = Progress(clock)
    progress.note(at(1))
    clock.now = 3600
    progress.note(at(1))
    assert progress.behind(at(1)) == (0, 0.0)
    progress.note(at(2))

    assert progress.behind(at(1)) == (1, 0.0)


@pytest.mark.parametrize("cursor", [None, "", "reset"])
def test_without_a_cursor_every_event_is_ahead(cursor: str | None) -> None:
    progress = Progress(Seconds())
    progress.note(at(7))

    assert progress.behind(cursor) == (7, 0.0)


def test_the_marks_of_another_feed_count_from_its_first() -> None:
    clock = Seconds()
    progress = Progress(clock)
    progress.note(at(500))
    clock.now = 60
    progress.note(at(3))

    assert progress.behind(at(2)) == (1, 0.0)


def test_a_bounded_number_of_marks_is_remembered_with_the_oldest() -> None:
    clock = Seconds()
    progress = Progress(clock)
    for clock.now in range(5 * MOST_MARKS):
        progress.note(at(int(clock.now) + 1))

    assert len(progress._marks) <= MOST_MARKS
    assert progress.behind(at(0)) == (5 * MOST_MARKS, clock.now)


def test_a_feed_that_is_empty_has_answered() -> None:
    progress = Progress(Seconds())

    progress.note(None)

    assert progress.answered_at
    assert progress.behind(None) == (0, 0.0)
