"""The ledger finds what is lost, doubled or stuck, and bounds what a figure proves."""

from uuid import uuid4

import pytest

from services.notification.dispatcher import REFUSED_AGAIN, TOO_LATE
from verification.chaos.books import Books, plain
from verification.chaos.ledger import (
    CUT_OFF,
    EXAMPLES,
    at_most,
    judge,
    judge_without_records,
)

Written = tuple[str, list[tuple[object, ...]]]
"""A table of the books, and its rows."""

ORDER = plain(uuid4())
WHOLE: dict[str, list[tuple[object, ...]]] = {
    "orders": [(ORDER, "SENT")],
    "event": [("event", ORDER, "PUBLISHED")],
    "handled": [("event", "PUSHED")],
    "notification": [(ORDER, "SENT", 1)],
    "received": [(ORDER, "line")],
}
JANE = "jane@example.org"
PRINTED: Written = ("received", [(ORDER, "line")])
MAILED: Written = ("received", [(ORDER, "line"), (ORDER, JANE)])


def _books(*changed: Written, channel: str = "line") -> Books:
    books = Books()
    books.accepted(ORDER, channel)
    for name, rows in {**WHOLE, **dict(changed)}.items():
        books.write(name, rows)
    return books


@pytest.mark.parametrize(("received", "channel"), [(PRINTED, "line"), (MAILED, JANE)])
def test_an_order_that_was_notified_once_is_no_finding(
    received: Written, channel: str
) -> None:
    found = judge(_books(received, channel=channel))

    assert found.is_clean
    assert found.findings == {}
    assert found.records
    assert (found.received.accepted, found.records.notified) == (1, 1)


@pytest.mark.parametrize(
    ("without", "why"),
    [
        ("orders", "lost, no row of orders"),
        ("event", "lost, no OrderCreated"),
        ("handled", "lost, not in the inbox"),
        ("notification", "lost, no notification"),
    ],
)
def test_a_lost_order_is_found_with_where_it_ended(without: str, why: str) -> None:
    found = judge(_books((without, [])))

    assert not found.is_clean
    assert found.records
    assert found.records.lost == 1
    assert found.findings == {ORDER: why}


def test_what_is_lost_is_named_before_what_is_stuck() -> None:
    books = _books(("event", [("event", ORDER, "LEASED")]))
    lost = [plain(uuid4()) for _ in range(EXAMPLES + 1)]
    for order in lost:
        books.accepted(order)

    assert {*judge(books).findings} < {*lost}


def test_a_mail_that_is_said_to_be_sent_and_is_nowhere_is_lost() -> None:
    found = judge(_books(channel=JANE))

    assert not found.is_clean
    assert found.findings == {ORDER: "lost, SENT and no mail"}


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        (("notification", [(ORDER, "UNKNOWN", 1)]), "stuck, UNKNOWN"),
        (("event", [("event", ORDER, "LEASED")]), "stuck, OrderCreated is LEASED"),
        (("orders", [(ORDER, "WAITING")]), "stuck, the order shows WAITING"),
    ],
)
def test_what_does_not_come_to_its_end_is_stuck(changed: Written, why: str) -> None:
    found = judge(_books(changed))

    assert not found.is_clean
    assert found.records
    assert (found.records.stuck, found.records.lost) == (1, 0)
    assert found.findings == {ORDER: why}


@pytest.mark.parametrize(("state", "is_clean"), [("FAILED", False), ("HELD", True)])
def test_what_was_not_sent_for_a_reason_is_neither_lost_nor_stuck(
    state: str, *, is_clean: bool
) -> None:
    books = _books(
        ("notification", [(ORDER, state, 2)]),
        ("orders", [(ORDER, state)]),
        ("received", []),
        ("held", [(ORDER, 2, False, True, "nobody answered")] * is_clean),
    )

    found = judge(books)

    assert found.is_clean is is_clean
    assert found.records
    assert (found.records.lost, found.records.stuck, found.received.not_notified) == (
        0,
        0,
        1,
    )
    assert (found.records.failed, found.records.held) == (not is_clean, is_clean)


def test_a_second_line_is_found() -> None:
    found = judge(_books(("received", [(ORDER, "line")] * 2)))

    assert not found.is_clean
    assert found.findings == {ORDER: "2 times by line"}


@pytest.mark.parametrize(("version", "is_clean"), [(1, False), (2, True)])
def test_a_second_mail_is_found_unless_the_first_was_unknown(
    version: int, *, is_clean: bool
) -> None:
    received: Written = ("received", [(ORDER, JANE)] * 2)

    found = judge(
        _books(received, ("notification", [(ORDER, "SENT", version)]), channel=JANE)
    )

    assert found.is_clean is is_clean
    assert (found.received.twice, found.received.again) == (not is_clean, is_clean)


def test_a_mail_to_somebody_else_is_found() -> None:
    received: Written = ("received", [(ORDER, JANE), (ORDER, "ada@example.org")])

    found = judge(_books(received, channel=JANE))

    assert not found.is_clean
    assert found.received.astray == 1
    assert found.findings == {ORDER: "received by ada@example.org"}


def test_an_order_that_nobody_was_answered_is_found() -> None:
    orders: Written = ("orders", [(ORDER, "SENT"), (plain(uuid4()), "SENT")])

    found = judge(_books(orders))

    assert not found.is_clean
    assert found.received.surplus == 1


@pytest.mark.parametrize(
    "held",
    [
        (2, False, True, "nobody answered"),
        (3, False, True, "nobody answered"),
        (1, True, True, TOO_LATE),
        (2, True, True, TOO_LATE),
    ],
)
def test_a_mail_is_held_that_was_unknown_twice_or_whose_key_was_too_old(
    held: tuple[object, ...],
) -> None:
    found = judge(_held((ORDER, *held)))

    assert found.is_clean
    assert found.records
    assert (found.records.held, found.records.unexplained) == (1, 0)


@pytest.mark.parametrize(
    "held",
    [
        (1, False, True, "unknown once"),
        (2, False, False, "never in doubt"),
        (2, False, None, None),
        (2, True, True, "unknown twice, and its server deduplicates"),
        (2, True, True, f"{REFUSED_AGAIN}: no"),
        (2, True, False, TOO_LATE),
        (1, False, True, TOO_LATE),
    ],
)
def test_a_mail_that_is_held_for_no_such_reason_is_found(
    held: tuple[object, ...],
) -> None:
    found = judge(_held((ORDER, *held)))

    assert not found.is_clean
    assert found.records
    assert (found.records.held, found.records.unexplained) == (1, 1)
    assert found.findings[ORDER].startswith("HELD, and nothing explains it")


def test_a_mail_that_is_held_and_of_which_no_more_is_known_is_found() -> None:
    assert not judge(_held()).is_clean


def test_a_held_mail_keeps_its_reason_where_the_server_deduplicates() -> None:
    books = _held((ORDER, 2, False, True, "nobody answered"))

    books.allow_one_mail()

    assert judge(books).is_clean


def _held(*rows: tuple[object, ...]) -> Books:
    return _books(
        ("notification", [(ORDER, "HELD", 2)]),
        ("orders", [(ORDER, "HELD")]),
        ("received", []),
        ("held", [*rows]),
        channel=JANE,
    )


@pytest.mark.parametrize(
    ("unprinted", "ended", "is_clean"),
    [
        (1, 0, False),
        (1, 1, True),
        (CUT_OFF, 1, True),
        (CUT_OFF + 1, 1, False),
        (CUT_OFF + 1, 2, True),
    ],
)
def test_lines_that_were_not_printed_are_found_beyond_what_ended_processes_explain(
    unprinted: int, ended: int, *, is_clean: bool
) -> None:
    books = _books(("received", []))
    for number in range(1, unprinted):
        _is_sent_and_not_printed(books, number)

    found = judge(books, ended)

    assert found.is_clean is is_clean
    assert found.records
    assert found.records.unprinted == unprinted
    why = "SENT, and no end of a process cut off its line"
    assert (why in found.findings.values()) is not is_clean


def _is_sent_and_not_printed(books: Books, number: int) -> None:
    order, event = plain(uuid4()), f"event {number}"
    books.accepted(order)
    books.write("orders", [(order, "SENT")])
    books.write("event", [(event, order, "PUBLISHED")])
    books.write("handled", [(event, "PUSHED")])
    books.write("notification", [(order, "SENT", 1)])


def test_dead_letters_of_forged_events_are_counted_apart() -> None:
    forged = judge(_books(("dead_letter", [("it is no OrderCreated", 1)])))
    ours = judge(_books(("dead_letter", [("it is no OrderCreated", 0)])))

    assert forged.is_clean
    assert not ours.is_clean
    assert forged.records
    assert (forged.records.forged, forged.records.dead_letters) == (1, 0)


def test_a_second_mail_is_found_where_the_server_should_have_known_the_first() -> None:
    received: Written = ("received", [(ORDER, JANE)] * 2)
    unknown: Written = ("notification", [(ORDER, "SENT", 2)])
    books = _books(received, unknown, channel=JANE)
    assert judge(books).received.twice == 0

    books.allow_one_mail()

    assert judge(books).received.twice == 1


def test_a_program_without_records_is_judged_by_what_customers_see() -> None:
    books = Books()
    for received in ([], ["line"], ["line"] * 2):
        order = plain(uuid4())
        books.accepted(order)
        books.write("received", [(order, each) for each in received])
    books.write("received", [(plain(uuid4()), "line")])
    books.order_what_was_received()

    found = judge_without_records(books)

    seen = found.received
    assert (seen.accepted, seen.not_notified, seen.twice, seen.surplus) == (3, 1, 1, 1)
    assert found.records is None


@pytest.mark.parametrize(
    ("count", "of", "most"),
    [
        (0, 1000, 0.003),
        (1, 1000, 0.00474),
        (10, 10_000, 0.0017),
        (2000, 4000, 0.519),
        (0, 0, 1),
    ],
)
def test_a_share_is_given_with_what_it_is_at_most(
    count: int, of: int, most: float
) -> None:
    assert at_most(count, of) == pytest.approx(most, rel=0.01)
