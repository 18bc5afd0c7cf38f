"""The ledger finds what is lost, doubled or stuck; the plan is the same for the same seed."""

from collections import Counter
from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from tests.chaos import plan
from tests.chaos.ledger import Books, judge
from tests.chaos.plan import Setting

ORDER = uuid4()


def _books(order: UUID = ORDER, state: str = "SENT", version: int = 1) -> Books:
    return Books(
        orders={order.hex},
        events={order.hex: "event"},
        taken={"event"},
        notified={order.hex: (state, version)},
        lines=Counter({str(order): 1}),
    )


def test_an_order_that_was_notified_once_is_no_finding() -> None:
    assert judge([str(ORDER)], _books()).is_clean


@pytest.mark.parametrize(
    ("doctored", "why"),
    [
        (replace(_books(), orders=set()), "no row of orders"),
        (replace(_books(), events={}), "no OrderCreated"),
        (replace(_books(), taken=set()), "not in the inbox"),
        (replace(_books(), notified={}), "no notification"),
        (_books(state="READY"), "READY"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_a_lost_order_is_found_with_where_it_ended(doctored: Books, why: str) -> None:
    found = judge([str(ORDER)], doctored)

    assert not found.is_clean
    assert found.lost == {ORDER.hex: why}


def test_a_second_line_is_found() -> None:
    doctored = replace(_books(), lines=Counter({str(ORDER): 2}))

    assert judge([str(ORDER)], doctored).twice == {ORDER.hex: "2 lines"}


@pytest.mark.parametrize(("version", "is_clean"), [(1, False), (2, True)])
def test_a_second_mail_is_found_unless_the_first_was_unknown(
    version: int, *, is_clean: bool
) -> None:
    mails = Counter({str(ORDER): 2})
    doctored = replace(_books(version=version), lines=Counter(), mails=mails)

    assert judge([str(ORDER)], doctored).is_clean is is_clean


def test_a_second_mail_is_found_where_the_server_should_have_known_the_first() -> None:
    mails = Counter({str(ORDER): 2})
    doctored = replace(_books(version=2), lines=Counter(), mails=mails)

    found = judge([str(ORDER)], replace(doctored, deduplicated=True))

    assert found.twice == {ORDER.hex: "2 mails"}


def test_a_row_that_is_stuck_is_found() -> None:
    assert not judge([str(ORDER)], replace(_books(), open_rows=1)).is_clean


def test_the_same_seed_is_the_same_plan() -> None:
    assert plan.make(7, 50, Setting()) == plan.make(7, 50, Setting())
    assert plan.make(7, 50, Setting()) != plan.make(8, 50, Setting())


@pytest.mark.parametrize("broker", ["rabbitmq", "redis", "kafka"])
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_long_plan_has_every_kind_of_fault(broker: str, database: str) -> None:
    setting = Setting(broker, database)
    possible = plan.kinds(setting)

    planned = plan.make(1, len(possible), setting)

    assert {(each.kind, each.part) for each in planned} == set(possible)
