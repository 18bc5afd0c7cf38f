"""Run a few failed tests once more, each by itself: whoever passes now is called unstable, not passed over.

Tests that share a running system count as one, and run together: where it did not start, all of them failed.
Run after pytest, with its exit status. A machine that is shared stops for seconds now and then, with three
processes of tests on two processors; what is wrong with the program fails by itself as well.
"""

import json
import subprocess
import sys
from pathlib import Path

from tests.support.sharing import shared_by

FAILED = Path(".pytest_cache/v/cache/lastfailed")
MOST = 3
"""Failed tests that are run again, or systems that tests share; more are no accident."""
TESTS_FAILED = 1
"""The exit status of pytest where tests failed, and nothing else was wrong."""


def main(status: int, failed: list[str]) -> int:
    """Return the exit status of the whole run: 0 where every test that had failed passed by itself."""
    together = {
        each: [one for one in failed if shared_by(one) == each]
        for each in map(shared_by, failed)
    }
    are_tests = all("::" in each for each in failed)
    if status != TESTS_FAILED or not are_tests or not 0 < len(together) <= MOST:
        return status
    _say(
        f"\n{len(failed)} failed: run again, each by itself or with those that share its system"
    )
    still = [name for name, tests in together.items() if _fail(tests)]
    for name, tests in together.items():
        said = "FAILED twice" if name in still else "UNSTABLE, passed alone"
        _say(f"{said}: {name}" + (f" ({len(tests)} tests)" if len(tests) > 1 else ""))
    return TESTS_FAILED if still else 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _fail(tests: list[str]) -> bool:
    command = [sys.executable, "-m", "pytest", "-q", *tests]
    return subprocess.run(command, check=False).returncode != 0


if __name__ == "__main__":
    found = [*json.loads(FAILED.read_text())] if FAILED.exists() else []
    sys.exit(main(int(sys.argv[1]), found))
