"""The rig is honest: only a test that fails by what it says itself has noticed that a safeguard is gone."""

from pathlib import Path

import pytest

from tests.prove.rig import PASSED, prove, ran
from tests.prove.safeguard import Rotten, Safeguard

NOTICES = {
    "an assertion": ("assert 1 == 2", "assert 1 == 2"),
    "an exception that does not come": (
        "with pytest.raises(OSError): pass",
        "Failed: DID NOT RAISE OSError",
    ),
    "an exception": ("raise OSError('the disk is full')", "OSError: the disk is full"),
}
SAYS_NOTHING = {
    "a name that is missing": "return nothing",
    "a module that is missing": "import nothing",
    "an attribute that is missing": "return pytest.nothing",
    "a call that does not fit": "return len()",
    "a test that hangs": "import time; time.sleep(60)",
    "a test that is skipped": "pytest.skip('not here')",
    "a test that passes": "assert True",
}


def a_test(folder: Path, body: str) -> list[str]:
    """Write a test; give what runs it."""
    text = f"import pytest\n\n\ndef test_it():\n    {body}\n"
    (folder / "test_of_it.py").write_text(text)
    return ["-n", "0", "test_of_it.py"]


@pytest.mark.parametrize("how", NOTICES)
def test_what_a_test_says_is_told(tmp_path: Path, how: str) -> None:
    body, said = NOTICES[how]

    verdict = ran(tmp_path, a_test(tmp_path, body), limit=30)

    assert verdict.caught
    assert (verdict.by, verdict.why) == ("test_of_it.py::test_it", said)


@pytest.mark.parametrize("how", SAYS_NOTHING)
def test_another_reason_to_fail_is_none(tmp_path: Path, how: str) -> None:
    limit = 4 if "hangs" in how else 30

    verdict = ran(tmp_path, a_test(tmp_path, SAYS_NOTHING[how]), limit)

    assert not verdict.caught
    assert (verdict.why == PASSED) == ("passes" in how)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("import nothing\n", id="cannot be imported"),
        pytest.param("def test_it(:\n", id="cannot be read"),
        pytest.param("", id="has no test"),
        pytest.param(
            "import pytest\n\n@pytest.fixture\ndef it():\n    assert 1 == 2\n\n"
            "def test_it(it):\n    pass\n",
            id="fails before its test",
        ),
    ],
)
def test_a_file_that_does_not_come_to_its_test_says_nothing(
    tmp_path: Path, text: str
) -> None:
    (tmp_path / "test_of_it.py").write_text(text)

    verdict = ran(tmp_path, ["-n", "0", "test_of_it.py"], limit=30)

    assert not verdict.caught
    assert verdict.why != PASSED


def test_a_test_that_is_not_there_says_nothing(tmp_path: Path) -> None:
    a_test(tmp_path, "assert 1 == 2")

    verdict = ran(tmp_path, ["-n", "0", "test_of_it.py::test_another"], limit=30)

    assert not verdict.caught
    assert verdict.why != PASSED


def test_a_safeguard_is_taken_out_for_its_tests_alone(tmp_path: Path) -> None:
    (tmp_path / "it.py").write_text("SAFE = True\n")
    a_test(tmp_path, "import it; assert it.SAFE")
    taken_out = "SAFE = False"
    it = Safeguard("it", "it.py", "SAFE = True", taken_out, ("test_of_it.py::test_it",))

    verdict = prove(it, tmp_path)

    assert verdict.caught
    assert (tmp_path / "it.py").read_text() == "SAFE = True\n"


def test_a_safeguard_that_does_not_fit_the_code_is_said(tmp_path: Path) -> None:
    (tmp_path / "it.py").write_text("SAFE = 1\n")
    it = Safeguard("it", "it.py", "SAFE = True", "SAFE = False")

    with pytest.raises(Rotten, match="it: its text is in"):
        prove(it, tmp_path)
