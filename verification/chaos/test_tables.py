"""The report as people read it: figures with their bounds, ours beside the ordinary program's."""

from dataclasses import replace

from verification.chaos.faults import Journal
from verification.chaos.ledger import Ledger, Received, Records
from verification.chaos.plan import Fault, Setting
from verification.chaos.report import Report
from verification.chaos.tables import table

JOURNAL = Journal(begun=0)
JOURNAL.write(Fault("kill", "order", 0.0, 1.0), 12.0, 2.5)
OURS = Report(
    Setting(),
    Ledger(
        Received(3000, 0, 0, 0, 0, 0),
        Records(3000, 0, 0, 0, 0, 7, 0, 0, 12, 0, 100),
        {},
    ),
    JOURNAL,
    {"500": 2, "ReadTimeout": 5},
    placing=30.0,
    settled=1.5,
    seconds=60.0,
)
ORDINARY = replace(
    OURS,
    setting=Setting(ordinary=True),
    ledger=Ledger(Received(2500, 7, 3, 0, 0, 4), None, {}),
)


def _row(shown: str, name: str) -> list[str]:
    (found,) = (line for line in shown.splitlines() if line.strip().startswith(name))
    return found.split(name)[1].split()


def test_a_figure_stands_with_what_the_true_share_is_below() -> None:
    assert _row(table([OURS]), "lost") == ["0", "<", "0.1", "%"]


def test_a_share_of_nearly_all_is_written_plainly() -> None:
    records = replace(OURS.ledger.records or Records(*[0] * 11), stuck=2999)

    shown = table([replace(OURS, ledger=replace(OURS.ledger, records=records))])

    assert _row(shown, "stuck") == ["2,999", "<", "100", "%"]


def test_lines_that_were_not_printed_stand_with_what_ended_processes_explain() -> None:
    assert _row(table([OURS]), "SENT, its line not printed") == ["7", "<=", "100"]


def test_the_ordinary_program_stands_beside_ours() -> None:
    shown = table([OURS, ORDINARY])

    nothing = " ".join(_row(shown, "customer received nothing"))
    assert nothing == "0 < 0.1 % 7 < 0.53 %"
    assert _row(shown, "notified") == ["3,000", "-"]


def test_why_requests_were_tried_again_is_listed_most_often_first() -> None:
    assert "tried again after ReadTimeout (5), 500 (2)" in table([OURS])


def test_a_run_that_did_not_settle_is_no_good_run() -> None:
    unsettled = replace(OURS, settled=None)

    assert OURS.is_clean
    assert not unsettled.is_clean
    assert "NOT SETTLED IN TIME" in table([unsettled])


def test_a_system_that_never_came_back_is_no_good_run() -> None:
    journal = Journal(begun=0)
    journal.write(Fault("down", "order", 3.0, 1.0), 12.0, None)

    assert not replace(OURS, journal=journal).is_clean
    assert _row(table([replace(OURS, journal=journal)]), "longest") == ["never"]


def test_each_order_that_should_not_be_there_is_named() -> None:
    lost = Ledger(
        OURS.ledger.received, OURS.ledger.records, {"0a": "lost, no OrderCreated"}
    )

    assert "0a  lost, no OrderCreated" in table([replace(OURS, ledger=lost)])
