"""Run a few failed tests once more, each by itself: whoever passes now is called unstable, not passed over.

Run after pytest, with its exit status. A machine that is shared stops for seconds now and then, with three
processes of tests on two processors; what is wrong with the program fails by itself as well.
"""

import json
import subprocess
import sys
from pathlib import Path

FAILED = Path(".pytest_cache/v/cache/lastfailed")
MOST = 3
"""Failed tests that are run again; more are no accident."""
TESTS_FAILED = 1
"""The exit status of pytest where tests failed, and nothing else was wrong."""


def main(status: int, failed: list[str]) -> int:
    """Return the exit status of the whole run: 0 where every test that had failed passed by itself."""
    are_tests = all("::" in each for each in failed)
    if status != TESTS_FAILED or not are_tests or not 0 < len(failed) <= MOST:
        return status
    _say(f"\n{len(failed)} failed: run again, each by itself")
    still = [each for each in failed if _fails(each)]
    for each in failed:
        said = "FAILED twice" if each in still else "UNSTABLE, passed alone"
        _say(f"{said}: {each}")
    return TESTS_FAILED if still else 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _fails(test: str) -> bool:
    command = [sys.executable, "-m", "pytest", "-q", test]
    return subprocess.run(command, check=False).returncode != 0


if __name__ == "__main__":
    found = [*json.loads(FAILED.read_text())] if FAILED.exists() else []
    sys.exit(main(int(sys.argv[1]), found))
