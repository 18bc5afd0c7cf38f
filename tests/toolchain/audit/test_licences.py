"""Every package has a licence under which it may be used here."""

from pathlib import Path

import pytest

from toolchain.audit import licences

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("lock", ["requirements.txt", "requirements-dev.txt"])
def test_every_package_may_be_used(lock: str) -> None:
    found = licences.found(licences.locked(ROOT / lock))

    of_other_platforms = found.pop("", [])
    assert sum(map(len, found.values())) >= 50
    assert {each for each in found if not licences.is_allowed(each)} == set()
    assert set(of_other_platforms) <= {"colorama", "tzdata"}


@pytest.mark.parametrize(
    ("licence", "is_allowed"),
    [
        ("MIT", True),
        ("MIT OR GPL-3.0-only", True),
        ("(Apache-2.0 AND MIT) OR AGPL-3.0-only", True),
        ("Apache-2.0 WITH LLVM-exception", True),
        ("AGPL-3.0-only", False),
        ("MIT AND GPL-3.0-only", False),
        ("none is named", False),
        ("UNKNOWN", False),
    ],
)
def test_a_licence_that_is_not_allowed_is_found(
    licence: str, *, is_allowed: bool
) -> None:
    assert licences.is_allowed(licence) == is_allowed


def test_a_package_that_is_not_installed_has_none_to_read() -> None:
    assert licences.found({"no-such-package": "1"}) == {"": ["no-such-package"]}
