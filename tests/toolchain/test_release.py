"""What `make release` writes, and what it refuses."""

from pathlib import Path

import pytest

from toolchain import release
from toolchain.machine import Machine
from toolchain.machine.failure import Failure

CHANGELOG = """\
# Changelog

## Unreleased

- Not yet.

## 1.1.0 - 2027-01-31

### Added

- A new thing.

## [1.0.0] - 2026-11-29

- The first.
"""


def test_the_notes_of_a_release_are_its_section_of_the_changelog() -> None:
    assert release.notes_of(CHANGELOG, "1.1.0") == "### Added\n\n- A new thing.\n"
    assert release.notes_of(CHANGELOG, "1.0.0") == "- The first.\n"


def test_a_version_without_notes_is_not_released() -> None:
    with pytest.raises(Failure, match=r"no section 1\.0\.1"):
        release.notes_of(CHANGELOG, "1.0.1")


def test_a_tag_of_another_version_is_refused_before_anything_is_written(
    tmp_path: Path,
) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1.0.0"\n')

    with pytest.raises(Failure, match=r"v1\.0\.1.*1\.0\.0"):
        release.write(Machine(tmp_path, {}), "v1.0.1")

    assert [each.name for each in tmp_path.iterdir()] == ["pyproject.toml"]
