"""Tests that share a running system run in one process, one after the other."""

from pathlib import Path

import pytest

from tests.support.sharing import only_here, shared_by

SHARED = {"real_stage", "system", "shop", "customer", "run"}
"""The fixtures by which a test has a system that others have, too."""


@pytest.mark.parametrize(
    ("nodeid", "shared"),
    [
        ("tests/conformance/test_x.py::test_y[daprd]", "conformance"),
        ("tests/conformance/test_x.py::test_y[an odd one-daprd]", "conformance"),
        ("tests/conformance/test_x.py::test_y", "conformance"),
        ("tests/journeys/test_secure_run.py::test_y[order]", "secure run"),
        ("tests/journeys/test_x.py::test_y[kafka-sqlite]", "journeys kafka-sqlite"),
        (
            "tests/journeys/test_x.py::test_y[rabbitmq-postgresql-order]",
            "journeys rabbitmq-postgresql",
        ),
    ],
)
def test_a_system_is_known_by_the_name_of_its_test(nodeid: str, shared: str) -> None:
    assert shared_by(nodeid) == shared


@pytest.mark.parametrize(
    "nodeid",
    [
        "tests/conformance/test_x.py::test_y[simulated]",
        "tests/journeys/test_x.py::test_y[kafka]",
        "tests/journeys/test_x.py::test_y",
        "tests/order/test_x.py::test_y[sqlite]",
    ],
)
def test_a_test_with_a_system_of_its_own_or_none_shares_nothing(nodeid: str) -> None:
    assert shared_by(nodeid) == nodeid


def test_no_test_has_a_shared_system_and_is_not_known_to(
    request: pytest.FixtureRequest,
) -> None:
    folders = {"conformance", "journeys"}
    alone = [
        item.nodeid
        for item in request.session.items
        if item.path.parent.name in folders
        and SHARED & {*getattr(item, "fixturenames", [])}
        and shared_by(item.nodeid) == item.nodeid
    ]

    assert alone == []


def test_a_system_in_a_second_process_is_noticed(tmp_path: Path) -> None:
    only_here(tmp_path, "conformance")
    only_here(tmp_path, "conformance")
    (tmp_path / "journeys.process").write_text("another")

    with pytest.raises(AssertionError, match="journeys runs in the processes another"):
        only_here(tmp_path, "journeys")
