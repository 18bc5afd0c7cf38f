"""Failed tests that are run again: which, and what becomes of the whole run."""

from pathlib import Path

import pytest

from tests.support import again
from tests.support.again import MOST, TESTS_FAILED, main

UNSTABLE = """
from pathlib import Path

def test_it() -> None:
    ran = Path(__file__).with_name("ran")
    first = not ran.exists()
    ran.touch()
    assert not first
"""
WRONG = "def test_it() -> None: assert False"


@pytest.fixture
def unstable(tmp_path: Path) -> str:
    """Write a test that fails at its first run alone, and return its name."""
    return _written(tmp_path / "test_unstable.py", UNSTABLE)


def _written(file: Path, text: str) -> str:
    file.write_text(text)
    return f"{file}::test_it"


def test_who_passes_alone_is_called_unstable(
    unstable: str, capfd: pytest.CaptureFixture[str]
) -> None:
    Path(unstable.partition("::")[0]).with_name("ran").touch()

    assert main(TESTS_FAILED, [unstable]) == 0
    assert f"UNSTABLE, passed alone: {unstable}" in capfd.readouterr().out


def test_who_fails_again_fails_the_run(
    tmp_path: Path, unstable: str, capfd: pytest.CaptureFixture[str]
) -> None:
    wrong = _written(tmp_path / "test_wrong.py", WRONG)

    assert main(TESTS_FAILED, [unstable, wrong]) == TESTS_FAILED
    assert f"FAILED twice: {wrong}" in capfd.readouterr().out


def test_tests_that_share_a_system_are_run_together_and_count_as_one(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    many = [f"tests/conformance/test_x.py::test_y[{each}-daprd]" for each in range(150)]
    ran: list[list[str]] = []
    monkeypatch.setattr(again, "_fail", ran.append)

    assert main(TESTS_FAILED, many) == 0
    assert ran == [many]
    assert "UNSTABLE, passed alone: conformance (150 tests)" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("status", "failed"),
    [
        pytest.param(TESTS_FAILED, MOST + 1, id="more than an accident"),
        pytest.param(TESTS_FAILED, 0, id="none that is known"),
        pytest.param(2, 1, id="interrupted"),
        pytest.param(4, 0, id="used wrongly"),
    ],
)
def test_what_is_no_accident_is_not_run_again(
    status: int, failed: int, unstable: str
) -> None:
    others = [f"{unstable}[{each}]" for each in range(failed)]

    assert main(status, others) == status
    assert not Path(unstable.partition("::")[0]).with_name("ran").exists()
