"""The settle age: it grows to what those that were late would have needed, and shrinks in calm times."""

import pytest

from chassis.reconciler.grace_period import LONGEST, LOST, SETTLE, WATCHED, Settling


class Clock:
    """A clock that a test sets."""

    now = 1000.0

    def __call__(self) -> float:
        """Give its time."""
        return self.now


def late_by(settling: Settling, clock: Clock, seconds: float) -> None:
    """Pull an event that then comes so many seconds later."""
    settling.note_pulled(["an-id"], waited=True)
    clock.now += seconds
    settling.note_late(["an-id"])


@pytest.mark.parametrize(
    ("late", "age"), [(0.5, 3.5), (4, 7), (26.9, 29.9), (40, LONGEST)]
)
def test_it_grows_to_what_was_needed_and_no_further(late: float, age: float) -> None:
    clock = Clock()
    settling = Settling(clock)

    late_by(settling, clock, late)

    assert settling.age == pytest.approx(age)


def test_it_halves_in_each_calm_minute_down_to_what_it_was() -> None:
    clock = Clock()
    settling = Settling(clock)
    late_by(settling, clock, 17)
    ages = []

    for _ in range(4):
        clock.now += LOST
        settling.give_up([])
        ages.append(settling.age)

    assert ages == [10, 5, SETTLE, SETTLE]


def test_it_stays_while_others_are_late() -> None:
    clock = Clock()
    settling = Settling(clock)
    late_by(settling, clock, 17)

    for _ in range(4):
        clock.now += LOST / 2
        late_by(settling, clock, 0)
        settling.give_up([])

    assert settling.age == 20


def test_an_end_counts_when_it_is_as_old_as_the_age_is_by_then() -> None:
    clock = Clock()
    settling = Settling(clock)
    settling.note_end("early")
    late_by(settling, clock, 2)

    clock.now += 2.9
    assert settling.reached() is None
    clock.now += 0.1

    assert settling.reached() == "early"


def test_what_is_not_waited_for_grows_no_list_of_ends() -> None:
    settling = Settling(Clock(), least=0)

    for _ in range(3):
        settling.note_end("an end")

    assert settling.reached() is None


def test_each_that_is_lost_is_named_once() -> None:
    clock = Clock()
    settling = Settling(clock)
    settling.note_pulled(["one", "two"], waited=True)
    settling.note_pulled(["three"], waited=False)
    clock.now += LOST
    settling.note_late(["one"])
    looked_for = settling.awaited()

    lost = [settling.give_up(looked_for) for _ in range(2)]

    assert lost == [["two", "three"], []]
    assert settling.awaited() == []


def test_what_was_not_waited_for_does_not_tell_how_long_to_wait() -> None:
    clock = Clock()
    settling = Settling(clock)
    settling.note_pulled(["an-id"], waited=False)
    clock.now += LOST

    assert settling.awaited() == ["an-id"]
    settling.note_late(["an-id"])

    assert settling.age == SETTLE
    assert settling.awaited() == []


@pytest.mark.parametrize("waited", [True, False])
def test_however_many_were_pulled_none_is_lost_that_was_not_looked_for(
    *, waited: bool
) -> None:
    clock = Clock()
    settling = Settling(clock)
    many = [str(each) for each in range(3 * WATCHED)]
    settling.note_pulled(many, waited=waited)
    early = settling.awaited()
    assert len(early) == WATCHED * waited

    clock.now += LOST

    assert settling.give_up(early) == early
    assert settling.awaited() == many[len(early) :]
