"""What a part says again and again is shown once, then counted."""

from dataclasses import replace

from toolchain.log.line import Line
from toolchain.log.repeats import SHOWS_EVERY, Repeats

AWAY = Line(100.0, "order sidecar", "WARN", "the broker is away, attempt 1")


def test_what_differs_in_a_number_alone_is_shown_once_and_counted() -> None:
    repeats = Repeats()
    again = [replace(AWAY, text=f"the broker is away, attempt {n}") for n in (2, 3)]

    assert [repeats.is_new(each) for each in (AWAY, *again)] == [True, False, False]

    assert not [*repeats.due(AWAY.at + SHOWS_EVERY - 1)]
    (line,) = repeats.due(AWAY.at + SHOWS_EVERY)
    assert line.text == "the broker is away, attempt 3 (2 more, the last at 00:01:40)"
    assert line.at == AWAY.at + SHOWS_EVERY


def test_what_goes_on_is_shown_less_and_less_often() -> None:
    repeats, shown = Repeats(), []
    for second in range(3600):
        now = AWAY.at + second
        repeats.is_new(replace(AWAY, at=now))
        shown += [second for _ in repeats.due(now)]

    assert shown == [30, 90, 210, 450, 930, 1530, 2130, 2730, 3330]


def test_what_did_not_come_again_is_new_the_next_time() -> None:
    repeats = Repeats()
    assert repeats.is_new(AWAY)

    assert not [*repeats.due(AWAY.at + SHOWS_EVERY)]

    assert repeats.is_new(AWAY)


def test_other_parts_and_what_is_no_warning_are_always_shown() -> None:
    repeats = Repeats()
    said = [
        AWAY,
        replace(AWAY, part="notification sidecar"),
        *[replace(AWAY, level="", text="Notification for Order 1")] * 2,
        *[replace(AWAY, is_report=True)] * 2,
    ]

    assert all(repeats.is_new(each) for each in said)
