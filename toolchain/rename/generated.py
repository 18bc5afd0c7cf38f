"""What follows from the code in a new repository: documents, layout, signatures, and the migrations' digests."""

import hashlib
import re
from pathlib import Path

from toolchain.machine.processes import python
from toolchain.rename.words import Names

SIGN = """
import json, pathlib
from tests.contracts.test_samples import KEYS, SAMPLES
for each in SAMPLES:
    event = json.loads(each.read_text("utf-8"))
    event["signature"] = KEYS.sign(event)
    each.write_text(json.dumps(event, indent=2, ensure_ascii=False) + "\\n", "utf-8")
"""
FRESH = """\
# Changelog

What users notice, newest first, after [Keep a Changelog](https://keepachangelog.com/en/1.1.0/).

## Unreleased

### Added

- Everything.
"""
LONGER = 140
"""How long a line of prose may be where a longer name stands in it; files and functions become longer too."""


def renew(target: Path, names: Names) -> None:
    """Bring what follows from the code and the names up to date; raises Failure."""
    # So that it can be renamed again.
    _in_file(
        target / "toolchain/rename/words.py", r"OURS = Names\(.*\)", f"OURS = {names}"
    )
    (target / "CHANGELOG.md").write_text(FRESH)
    _in_file(target / "pyproject.toml", r"max-line-length = \d+", f"max-line-length = {LONGER}")  # fmt: skip
    _in_file(target / "pyproject.toml", r'(?m)^version = ".*"', 'version = "0.1.0"')
    house = target / "tests/architecture/test_house_rules.py"
    _in_file(house, r"MEDIAN_FUNCTION = 40, 400, 8", "MEDIAN_FUNCTION = 45, 450, 8")
    ruff = ("-m", "ruff")
    _python(target, *ruff, "check", "--quiet", "--fix", "--exit-zero", ".")
    _python(target, *ruff, "format", "--quiet", ".")
    # A comment that allows a breach may stand in another line now.
    _python(target, *ruff, "check", "--quiet", "--add-noqa", ".")
    _python(target, *ruff, "check", "--quiet", "--fix", ".")
    _renew_digests(target)
    _python(target, "-c", SIGN)
    _python(target, "-m", "toolchain.documents")
    _python(target, "-m", "tests.performance")  # bytes that are sent


def _renew_digests(target: Path) -> None:
    """Write what each first migration is now: none of them has run anywhere."""
    file = target / "tests/chassis/database/test_migration.py"
    for path in target.glob("**/migrations/versions/0*.py"):
        found = re.search(r'(?m)^revision = "(.+)"', path.read_text())
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        if found:
            _in_file(file, rf'"{re.escape(found[1])}": "\w+"', f'"{found[1]}": "{digest}"')  # fmt: skip


def _in_file(file: Path, pattern: str, replacement: str) -> None:
    file.write_text(re.sub(pattern, replacement, file.read_text()))


def _python(target: Path, *arguments: str) -> None:
    remedy = "Nothing was kept. Choose other names, or report this."
    python(target, *arguments, remedy=remedy)
