"""Removes each safeguard in turn, in a copy of the working tree, and tells which test notices.

python -m tests.prove [--list] [word ...]: the safeguards in whose names one of the words is.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.prove.safeguard import ROOT, Safeguard
from tests.prove.safeguards import SAFEGUARDS

LIMIT = 300.0
"""Seconds that the tests of one safeguard may take."""

_FAILED = re.compile(r"^FAILED (.+?) - (.+)$", re.MULTILINE)
# Code that cannot be run is noticed by any test, and a test that hangs may hang of anything: neither proves
# anything of the safeguard.
_BROKEN = re.compile(
    r"(Import|ModuleNotFound|Name|UnboundLocal|Attribute|Syntax|Indentation)Error|Timeout"
)
# pytest cuts what it says of a failure to the terminal's width.
_WIDE = {"COLUMNS": "500"}


def run(copy: Path, tests: Sequence[str]) -> tuple[int, str]:
    """Run tests in the copy; give pytest's status, and what it said."""
    python = [str(ROOT / ".venv/bin/python"), "-B", "-m", "pytest", "-x", "-q"]
    options = ["-n", "0", "-p", "no:cacheprovider", "--tb=line"]
    try:
        done = subprocess.run(
            [*python, *options, *tests],
            cwd=copy,
            env={**os.environ, **_WIDE},
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return -1, "the tests took too long"
    return done.returncode, done.stdout


def catcher(status: int, said: str) -> str | None:
    """Name the test that failed, with why; None where none did, or not for a reason that counts."""
    found = _FAILED.search(said)
    if status != 1 or not found or _BROKEN.search(found[2]):
        return None
    return f"{found[1]}: {found[2][:90]}"


def prove(safeguard: Safeguard, copy: Path) -> str | None:
    """Remove a safeguard for the time of its tests; give who noticed."""
    file = copy / safeguard.file
    whole, removed = file.read_text(), safeguard.removed(copy)
    file.write_text(removed)
    try:
        return catcher(*run(copy, safeguard.tests))
    finally:
        file.write_text(whole)


@contextmanager
def a_copy() -> Iterator[Path]:
    """Copy the working tree, as it is now, without what Git ignores."""
    listed = ["git", "ls-files", "-co", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True)
    with TemporaryDirectory(prefix="prove-") as folder:
        copy = Path(folder)
        for name in names.stdout.splitlines():
            if (ROOT / name).is_file() and not (ROOT / name).is_symlink():
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, copy / name)
        (copy / ".venv").symlink_to((ROOT / ".venv").resolve())
        yield copy


def main(words: Sequence[str]) -> int:
    """Prove what is asked for; status 1 where something survives, 2 where the tests are red without it."""
    asked = [word for word in words if word != "--list"]
    chosen = [s for s in SAFEGUARDS if not asked or any(w in s.name for w in asked)]
    if "--list" in words:
        say(*(each.name for each in chosen))
        return 0
    began = time.monotonic()
    green: set[tuple[str, ...]] = set()
    survivors = []
    with a_copy() as copy:
        for each in chosen:
            if each.tests not in green and not _is_green(each.tests, copy):
                return 2
            green.add(each.tests)
            if not _shown(each, copy):
                survivors.append(each)
    took = time.monotonic() - began
    say(f"{len(chosen)} removed, {len(survivors)} survived, {took:.0f} s")
    say(*(f"SURVIVED: {s.name}\n{s.file}\n- {s.old}\n+ {s.new}" for s in survivors))
    return 1 if survivors or not chosen else 0


def _is_green(tests: Sequence[str], copy: Path) -> bool:
    status, said = run(copy, tests)
    if status != 0:
        say(f"red before anything was removed: {' '.join(tests)}", said)
    return status == 0


def _shown(safeguard: Safeguard, copy: Path) -> bool:
    began = time.monotonic()
    who = prove(safeguard, copy)
    took = time.monotonic() - began
    say(f"{safeguard.name} ({took:.1f} s): {who or 'SURVIVED'}")
    return who is not None


def say(*lines: str) -> None:
    """Write lines, at once."""
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
