"""The rig: copies of the working tree, the tests of one safeguard in them, and what those tests say."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree as ET

from tests.prove.safeguard import ROOT, Safeguard

LIMIT = 120.0
"""Seconds that the tests of one safeguard may take, which take some few."""
LIMIT_OF_A_SYSTEM = 300.0
"""Seconds that they may take where they start a broker, sidecars and services."""
LIMIT_OF_ALL = 1200.0
"""Seconds that the tests of all safeguards may take together, before anything is taken out."""

# Code that cannot run is noticed by whatever test runs it, and what hangs may hang of anything: neither says
# a thing of the safeguard. A test that waits for something fails by an assertion of its own.
_SAYS_NOTHING = re.compile(
    r"([\w.]+\.)?(Import|ModuleNotFound|Name|UnboundLocal|Attribute|Type|Syntax|Indentation)Error\b"
    r"|Failed: Timeout"
)
_TEST = [sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
_SIMULATE = [sys.executable, "-B", "-m", "tests.prove.simulated"]
# A run that broke off says nothing, either.
_VIOLATED = re.compile(r"^violated: (?!broke off)(.+)$", re.MULTILINE)
PASSED = "its tests passed"


@dataclass(frozen=True)
class Verdict:
    """Whether a safeguard's absence was noticed; by which test, and by which words of it."""

    caught: bool
    by: str
    why: str


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


def prove(safeguard: Safeguard, copy: Path) -> Verdict:
    """Take a safeguard out for the time of its tests; raises Rotten."""
    file = copy / safeguard.file
    whole, without = file.read_text(), safeguard.removed(copy)
    file.write_text(without)
    try:
        if safeguard.faults:
            return simulated(copy, safeguard.faults)
        limit = LIMIT_OF_A_SYSTEM if safeguard.on_the_real_system else LIMIT
        return ran(copy, ["-x", "-n", "0", *safeguard.tests], limit)
    finally:
        file.write_text(whole)


def ran(copy: Path, asked: Sequence[str], limit: float) -> Verdict:
    """Run tests; the verdict is that of the first that failed by what it says itself."""
    report = copy / "report.xml"
    report.unlink(missing_ok=True)
    quiet = ["--tb=short", f"--junitxml={report}", f"--timeout={limit / 2:.0f}"]
    said = _said([*_TEST, *quiet, *asked], copy, limit)
    if said is None:
        return Verdict(caught=False, by="", why=f"its tests took over {limit:.0f} s")
    if report.exists() and (found := judged(report.read_text())):
        return found
    errors = [each for each in said.splitlines() if each.startswith("ERROR: ")]
    return Verdict(caught=False, by="", why=_line("\n".join(errors) or said))


def judged(report: str) -> Verdict | None:
    """Read what pytest wrote (JUnit's XML): a failed test counts, and not by an error of another kind.

    None where no test was run at all.
    """
    others: list[str] = []
    cases = list(ET.fromstring(report).iter("testcase"))  # noqa: S314 - pytest wrote it
    for case in cases:
        by = f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}"
        for kind in case:
            why = _why(kind)
            if kind.tag == "failure" and not _SAYS_NOTHING.match(why):
                return Verdict(caught=True, by=by, why=why)
            if kind.tag in {"failure", "error", "skipped"}:
                others.append(f"{by}: {kind.tag}: {why}")
    if not cases:
        return None
    return Verdict(caught=False, by="", why=others[-1] if others else PASSED)


def _why(said: ET.Element) -> str:
    message = said.get("message", "")
    # What an `assert` says itself comes after what was written beside it.
    compared = [each for each in message.splitlines() if each.startswith("assert ")]
    why = _line(compared[0] if compared else message)
    lines = (said.text or "").splitlines()
    # Of an `assert` that is not in a test's own file pytest tells no values: then its line of code is told.
    if why == "AssertionError" and "E   AssertionError" in lines:
        before = lines[: lines.index("E   AssertionError")]
        # Python may mark a part of that line beneath it.
        return _line([each for each in before if each.strip(" ^")][-1])
    return why


def simulated(copy: Path, faults: Sequence[str]) -> Verdict:
    """Run a schedule with these faults; the verdict is the first violation that is found."""
    said = _said([*_SIMULATE, *faults], copy, LIMIT)
    if said is None:
        return Verdict(caught=False, by="", why=f"took over {LIMIT:.0f} s")
    if found := _VIOLATED.search(said):
        by = f"the simulation, with these faults: {', '.join(faults)}"
        return Verdict(caught=True, by=by, why=_line(found[1]))
    return Verdict(caught=False, by="", why=_line(said, last=True))


def _said(command: Sequence[str], copy: Path, limit: float) -> str | None:
    with subprocess.Popen(
        command,
        cwd=copy,
        # What a test makes of its own code is not to be found by another run.
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as tests:
        try:
            return tests.communicate(timeout=limit)[0]
        except subprocess.TimeoutExpired:
            return None
        finally:
            # Without a safeguard, a part may well outlive its test.
            with suppress(ProcessLookupError):
                os.killpg(tests.pid, signal.SIGKILL)


def _line(text: str, *, last: bool = False) -> str:
    lines = [each.strip() for each in text.splitlines() if each.strip()] or [""]
    line = lines[-1 if last else 0]
    return line if len(line) <= 100 else f"{line[:97]}..."
