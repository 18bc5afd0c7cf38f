"""The journal counts how many processes of a service were ended."""

import pytest

from verification.chaos import plan
from verification.chaos.faults import Journal
from verification.chaos.plan import Fault, Setting


@pytest.mark.parametrize(
    ("kind", "part", "ended"),
    [
        ("kill", "notification", 1),
        ("terminate", "notification", 1),
        ("down", "notification 2", 1),
        ("stop", "notification", 0),
        ("clock back", "notification", 0),
        ("disk full", "notification", 0),
        ("kill", "notification sidecar", 0),
        ("kill", "order", 0),
        ("kill", "broker", 0),
        ("cut", "mail link", 0),
        ("kill at commit", "notification", 1),
        ("commit fails", "notification", 0),
    ],
)
def test_it_counts_what_ended_a_process_that_prints(
    kind: str, part: str, ended: int
) -> None:
    setting, journal = Setting(replicas=2), Journal()

    journal.write(Fault(kind, part, 1.0, 1.0), 1.0, 2.0)

    assert journal.ended(setting.notification_apps) == ended


def test_each_commit_of_unknown_outcome_explains_lines_too() -> None:
    journal, fault = Journal(), Fault("commit unknown", "notification", 1.0, 1.0)

    journal.write(fault, 1.0, 2.0, [1, 50, 7])

    assert journal.ended(["notification"]) == 3


def test_every_other_signal_leaves_the_process_as_it_is() -> None:
    assert {*plan.SIGNALS} - {*plan.ENDS} == {"stop"}
