"""The rig: a copy of the working tree, the tests of one mutant in it, and what they say."""

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

from verification.mutation.mutant import Mutant
from verification.mutation.promises import ROOT

LIMIT = 300.0
"""Seconds for the test of one mutant, which may start a broker, sidecars and services."""
BASELINE_LIMIT = 1800.0
"""Seconds for the tests of all mutants, before anything is changed."""
PASSED = "its tests passed"

# Code that cannot run is noticed by whatever test runs it, and a test may hang for any reason: neither says
# anything about the safeguard. A test that waits for something fails by an assertion of its own.
_INCONCLUSIVE = re.compile(
    r"([\w.]+\.)?(Import|ModuleNotFound|Name|UnboundLocal|Attribute|Type|Syntax|Indentation)Error\b"
    r"|Failed: Timeout"
)
_PYTEST = (sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider")


@dataclass(frozen=True)
class Verdict:
    """Whether a mutant was killed: by which test, and for which reason."""

    killed: bool
    reason: str
    test: str = ""


@contextmanager
def copied_tree() -> Iterator[Path]:
    """Yield a copy of the working tree as it is now, without what Git ignores."""
    listed = ("git", "ls-files", "-co", "--exclude-standard")
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True)
    with TemporaryDirectory(prefix="mutation-") as folder:
        copy = Path(folder)
        for name in names.stdout.splitlines():
            if (ROOT / name).is_file() and not (ROOT / name).is_symlink():
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, copy / name)
        (copy / ".venv").symlink_to((ROOT / ".venv").resolve())
        yield copy


def try_out(mutant: Mutant, copy: Path) -> Verdict:
    """Run a mutant's tests with the mutant in the copy, and take it out again; raises Stale."""
    test, (name, text) = mutant.node_id(copy), mutant.apply(copy)
    file = copy / name
    whole = file.read_text()
    file.write_text(text)
    try:
        return run(copy, ["-x", test], LIMIT)
    finally:
        file.write_text(whole)


def run(copy: Path, arguments: Sequence[str], limit: float) -> Verdict:
    """Run tests; the verdict is that of the first one that failed for a reason of its own."""
    report = copy / "report.xml"
    report.unlink(missing_ok=True)
    options = ("--tb=short", f"--junitxml={report}", f"--timeout={limit / 2:.0f}")
    output = _output([*_PYTEST, *options, *arguments], copy, limit)
    if output is None:
        return Verdict(killed=False, reason=f"its tests took more than {limit:.0f} s")
    cases = [*ET.parse(report).iter("testcase")] if report.exists() else []  # noqa: S314 - pytest wrote it
    return _verdict(cases) if cases else Verdict(killed=False, reason=_line(output))


def _verdict(cases: Sequence[ET.Element]) -> Verdict:
    reason = PASSED
    for case in cases:
        test = f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}"
        for outcome in case:
            if outcome.tag not in {"failure", "error", "skipped"}:
                continue
            why = _reason(outcome.get("message", ""))
            if outcome.tag == "failure" and not _INCONCLUSIVE.match(why):
                return Verdict(killed=True, reason=why, test=test)
            reason = f"{test}: {outcome.tag}: {why}"
    return Verdict(killed=False, reason=reason)


def _reason(message: str) -> str:
    # What an `assert` says itself comes after what was written beside it.
    compared = [each for each in message.splitlines() if each.startswith("assert ")]
    return _line(compared[0] if compared else message)


def _line(text: str) -> str:
    lines = [each.strip() for each in text.splitlines() if each.strip()] or [""]
    errors = [each for each in lines if each.startswith("ERROR: ")]
    return (errors or lines)[0][:100]


def environment() -> dict[str, str]:
    """Return this process's environment, for programs that write no compiled code."""
    # What is compiled from a mutant must not be found by the next run.
    return {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}


def _output(command: Sequence[str], copy: Path, limit: float) -> str | None:
    with subprocess.Popen(
        command,
        cwd=copy,
        env=environment(),
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
