"""What is installed is what was examined."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
_REQUIREMENT = re.compile(r"^(?!#)\S.*(?:\n {4}\S.*)*", re.MULTILINE)
_LOCKED = re.compile(
    r"[A-Za-z0-9._-]+==[^\s;]+(?: ; [^\\]+)?(?: \\\n {4}--hash=sha256:[0-9a-f]{64})+"
    r"(?:\n {4}#.*)*"
)


@pytest.mark.parametrize("lock", ["requirements.txt", "requirements-dev.txt"])
def test_every_requirement_is_locked_by_its_hashes(lock: str) -> None:
    found = _REQUIREMENT.findall((ROOT / lock).read_text())

    assert len(found) >= 50
    assert [each for each in found if not _LOCKED.fullmatch(each)] == []


@pytest.mark.parametrize(
    "line",
    [
        "click>=8",
        "click==8.5.1",
        "click @ https://example.org/click.whl",
        "--index-url https://example.org",
        "click==8.5.1 \\\n    --hash=md5:0123",
    ],
)
def test_a_requirement_without_them_is_noticed(line: str) -> None:
    (found,) = _REQUIREMENT.findall(line)

    assert not _LOCKED.fullmatch(found)
