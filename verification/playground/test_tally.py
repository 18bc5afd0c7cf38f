"""The counters: what is accepted, notified, not yet, lost and twice, by what customers see."""

from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from verification.chaos.books import plain
from verification.playground.tally import Counts, Tail, Tally


@dataclass
class Clock:
    """A clock that is set by hand."""

    now: float = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def a_tally() -> tuple[Tally, Clock]:
    """Make a tally whose parts have all been up for long."""
    clock = Clock()
    return Tally(30, clock, calm_since=0.0), clock


def an_order() -> str:
    """Return an id as `POST /api/order` answers it."""
    return str(uuid4())


def test_an_order_is_not_yet_notified_then_notified_once() -> None:
    tally, _ = a_tally()
    order = an_order()

    tally.accepted(order)
    assert tally.counts() == Counts(accepted=1, stuck=1)
    tally.print_lines([plain(order)])
    assert tally.counts() == Counts(accepted=1, notified=1)


def test_a_line_that_comes_before_the_answer_counts_for_its_order() -> None:
    tally, _ = a_tally()
    order = an_order()

    tally.print_lines([plain(order)])
    tally.accepted(order)

    assert tally.counts(asking=False) == Counts(accepted=1, notified=1)


def test_what_all_parts_had_the_time_to_notify_is_lost() -> None:
    tally, clock = a_tally()
    tally.accepted(an_order())

    clock.now += 30
    tally.judge()
    assert tally.counts().lost == 0
    clock.now += 1
    tally.judge()
    assert tally.counts() == Counts(accepted=1, lost=1)


def test_nothing_is_lost_while_a_part_is_down_or_has_just_come_back() -> None:
    tally, clock = a_tally()
    tally.accepted(an_order())
    clock.now += 100

    tally.calm_since = None
    tally.judge()
    assert tally.counts().lost == 0
    tally.calm_since = clock.now - 29
    tally.judge()
    assert tally.counts() == Counts(accepted=1, stuck=1)


def test_what_is_notified_after_all_is_not_lost() -> None:
    tally, clock = a_tally()
    order = an_order()
    tally.accepted(order)
    clock.now += 31
    tally.judge()

    tally.print_lines([plain(order)])

    assert tally.counts() == Counts(accepted=1, notified=1)


def test_two_lines_for_an_order_are_one_that_is_notified_twice() -> None:
    tally, _ = a_tally()
    order = an_order()
    tally.accepted(order)

    tally.print_lines([plain(order)] * 3)

    assert tally.counts() == Counts(accepted=1, notified=1, twice=1)


def test_a_line_for_an_order_that_nobody_was_told_of_is_an_order_placed_twice() -> None:
    tally, clock = a_tally()
    tally.print_lines([plain(an_order())])

    assert tally.counts().surplus == 0
    assert tally.counts(asking=False).surplus == 1
    clock.now += 30
    assert tally.counts().surplus == 1


def test_what_is_sent_in_the_database_is_notified_though_its_line_was_cut_off() -> None:
    tally, _ = a_tally()
    order = an_order()
    tally.accepted(order)

    tally.mark_sent([plain(order)])
    assert tally.counts() == Counts(accepted=1, notified=1, unprinted=1)
    tally.print_lines([plain(order)])
    assert tally.counts() == Counts(accepted=1, notified=1)


def test_counters_that_begin_anew_know_nothing_of_what_is_still_printed() -> None:
    tally, _ = a_tally()
    order = an_order()
    tally.accepted(order)

    tally.begin_anew()
    tally.print_lines([plain(order)])

    assert tally.counts(asking=False) == Counts()


def test_a_log_is_read_as_it_grows_and_whole_lines_only(tmp_path: Path) -> None:
    log, one, other = tmp_path / "notification.log", an_order(), an_order()
    tail = Tail(log)
    line = "Notification for Order {}: Dear Jane, your order was created at 1.\n"

    assert tail.new() == []
    log.write_text("something else\n" + line.format(one) + line.format(other)[:50])
    assert tail.new() == [plain(one)]
    with log.open("a") as more:
        more.write(line.format(other)[50:])
    assert tail.new() == [plain(other)]
    assert tail.new() == []
