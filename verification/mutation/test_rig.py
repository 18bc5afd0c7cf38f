"""The rig is honest: only a test that fails by what it says itself kills a mutant."""

from pathlib import Path

import pytest

from verification.mutation.mutant import Mutant, Stale
from verification.mutation.rig import PASSED, Verdict, run, try_out

KILLS = {
    "an assertion": ("assert 1 == 2", "assert 1 == 2"),
    "an exception that is not raised": (
        "with pytest.raises(OSError): pass",
        "Failed: DID NOT RAISE OSError",
    ),
    "an exception": ("raise OSError('the disk is full')", "OSError: the disk is full"),
}
PROVES_NOTHING = {
    "a name that is missing": "return nothing",
    "a module that is missing": "import nothing",
    "an attribute that is missing": "return pytest.nothing",
    "a call that does not fit": "return len()",
    "a test that hangs": "import threading; threading.Event().wait()",
    "a test that is skipped": "pytest.skip('not here')",
    "a test that passes": "assert True",
}
NO_TEST = {
    "cannot be imported": "import nothing\n",
    "cannot be read": "def test_it(:\n",
    "has no test": "",
    "fails before its test": "import pytest\n\n@pytest.fixture\ndef it():\n    assert 1 == 2\n\n"
    "def test_it(it):\n    pass\n",
}
DOCUMENT = "| A promise. | `test_of_it.py::test_it` |\n"


def run_test(folder: Path, body: str, limit: float = 30) -> Verdict:
    """Write a test with this body, run it, and return the verdict."""
    text = f"import pytest\n\n\ndef test_it():\n    {body}\n"
    (folder / "test_of_it.py").write_text(text)
    return run(folder, ["test_of_it.py"], limit)


def write_project(folder: Path, code: str) -> None:
    """Write code, a test of it, and a promise that this test holds."""
    for name, text in {
        "chassis/it.py": f"{code}\n",
        "docs/guarantees.md": DOCUMENT,
        "test_of_it.py": "from chassis import it\n\ndef test_it():\n    assert it.is_safe()\n",
    }.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)


SAFE = "def is_safe():\n    return True"
MUTANT = Mutant("it.is_safe", "return True", "return False", "test_it")


@pytest.mark.parametrize("how", KILLS)
def test_a_test_that_fails_by_itself_kills(tmp_path: Path, how: str) -> None:
    body, reason = KILLS[how]

    verdict = run_test(tmp_path, body)

    assert verdict == Verdict(True, reason, "test_of_it.py::test_it")  # noqa: FBT003


@pytest.mark.parametrize("how", PROVES_NOTHING)
def test_any_other_end_proves_nothing(tmp_path: Path, how: str) -> None:
    verdict = run_test(tmp_path, PROVES_NOTHING[how], 4 if "hangs" in how else 30)

    assert not verdict.killed
    assert (verdict.reason == PASSED) == ("passes" in how)


@pytest.mark.parametrize("why", NO_TEST)
def test_a_file_whose_test_does_not_run_proves_nothing(
    tmp_path: Path, why: str
) -> None:
    (tmp_path / "test_of_it.py").write_text(NO_TEST[why])

    verdict = run(tmp_path, ["test_of_it.py"], limit=30)

    assert not verdict.killed
    assert verdict.reason != PASSED


def test_a_mutant_is_in_the_code_for_its_test_alone(tmp_path: Path) -> None:
    write_project(tmp_path, SAFE)

    verdict = try_out(MUTANT, tmp_path)

    assert verdict.killed
    assert (tmp_path / "chassis/it.py").read_text() == f"{SAFE}\n"


def test_a_mutant_that_survives_is_reported(tmp_path: Path) -> None:
    write_project(tmp_path, f"{SAFE}\n    return True")

    stale = Mutant(
        "it.is_safe", "    return True\n    return True", "    return 1", "test_it"
    )

    assert try_out(stale, tmp_path) == Verdict(killed=False, reason=PASSED)


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("def is_safe():\n    return 1", id="whose text is gone"),
        pytest.param(f"{SAFE}\n    return True", id="whose text is there twice"),
        pytest.param("def other():\n    return True", id="whose function is gone"),
        pytest.param(f"{SAFE}\n{SAFE}", id="whose function is there twice"),
    ],
)
def test_a_mutant_that_fits_no_more_is_stale(tmp_path: Path, code: str) -> None:
    write_project(tmp_path, code)

    with pytest.raises(Stale, match=r"it\.is_safe"):
        try_out(MUTANT, tmp_path)
