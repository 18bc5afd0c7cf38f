"""The mutation score: how many of a random sample of cosmic-ray's mutants the tests beside the code kill.

python -m verification.mutation.score [--sample 120] [--seed 1] [PATH ...]: of these files and folders (`chassis
services` is all of it); without any, of the inbox, the relay, the reconciler and the dispatcher. A room's tests
are its own, on SQLite.
"""

import argparse
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from verification.mutation.promises import ROOT
from verification.mutation.rig import copied_tree, environment

PATHS = (
    "chassis/inbox/inbox.py",
    "chassis/outbox/leases.py",
    "chassis/outbox/relay.py",
    "chassis/reconciler",
    "services/notification/dispatcher.py",
)
PROGRAMS = ROOT / ".local" / "cosmic-ray" / "bin"
"""Where `make mutation` installs cosmic-ray, whose own packages are none of ours."""
LEAST = 75.0
"""The score, in per cent, to be reached: about one mutant in eight changes nothing (docs/guarantees.md)."""
# `|` is in annotations only. What is compared by identity here (None, members of enums) is also equal.
_CONFIG = """
[cosmic-ray]
module-path = '{code}'
timeout = {timeout:.1f}
excluded-modules = ['**/__init__.py', '**/migrations/*.py', '**/migrations/versions/*.py']
test-command = '{command}'
[cosmic-ray.distributor]
name = 'local'
[cosmic-ray.filters.operators-filter]
exclude-operators = [
  'core/ReplaceBinaryOperator_BitOr_.*',
  'core/ReplaceComparisonOperator_Is_Eq',
  'core/ReplaceComparisonOperator_IsNot_NotEq',
]
"""
_PYTEST = '.venv/bin/python -m pytest -x -q -p no:cacheprovider -k "not postgresql"'
# Their ids are random: in the order of their places, a seed chooses the same mutants each time.
_LEFT = """
SELECT job_id FROM mutation_specs LEFT JOIN work_results USING (job_id) WHERE worker_outcome IS NULL
ORDER BY module_path, start_pos_row, start_pos_col, operator_name, operator_args, occurrence
"""
_RESULTS = """
SELECT test_outcome, module_path, start_pos_row, diff FROM work_results JOIN mutation_specs USING (job_id)
"""


class Result(NamedTuple):
    """What became of one mutant."""

    outcome: str
    module: str
    line: int
    diff: str


@dataclass(frozen=True)
class Suite:
    """The mutants of one file or folder, and the tests that are run for each, in a copy of the tree."""

    code: str
    copy: Path

    @property
    def command(self) -> str:
        """The command that runs the tests: those of the same room, or of the same service."""
        top, room, *_ = Path(self.code).parts
        folder = Path("tests") if top == "services" else Path("tests", top)
        tests = folder / (f"test_{room}" if room.endswith(".py") else room)
        return f"{_PYTEST} {tests}"

    def prepare(self) -> list[str]:
        """Run the tests without a mutant, and return the numbers of all mutants."""
        started = time.monotonic()
        self._call("sh", "-c", self.command)
        timeout = 30 + 3 * (time.monotonic() - started)
        config, session = self.copy / f"{self._name}.toml", f"{self._name}.sqlite"
        text = _CONFIG.format(code=self.code, timeout=timeout, command=self.command)
        config.write_text(text)
        self._call(str(PROGRAMS / "cosmic-ray"), "init", config.name, session)
        self._call(str(PROGRAMS / "cr-filter-operators"), session, config.name)
        return [number for (number,) in self._query(_LEFT)]

    def run(self, numbers: Sequence[str]) -> list[Result]:
        """Run the tests with each of these mutants alone."""
        kept = ",".join(f"'{each}'" for each in numbers)
        for table in ("work_results", "mutation_specs", "work_items"):
            self._query(f"DELETE FROM {table} WHERE job_id NOT IN ({kept})")
        session = f"{self._name}.sqlite"
        program = str(PROGRAMS / "cosmic-ray")
        self._call(program, "exec", f"{self._name}.toml", session)
        return [Result(*row) for row in self._query(_RESULTS)]

    @property
    def _name(self) -> str:
        return self.code.replace("/", "-")

    def _query(self, statement: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.copy / f"{self._name}.sqlite")) as database:
            rows = database.execute(statement).fetchall()
            database.commit()
        return rows

    def _call(self, *command: str) -> None:
        subprocess.run(command, cwd=self.copy, env=environment(), check=True)


def main(arguments: Sequence[str]) -> int:
    """Run a sample, print its score, and return 1 where that is below LEAST."""
    parser = argparse.ArgumentParser(prog="python -m verification.mutation.score")
    parser.add_argument("paths", nargs="*", default=PATHS, help="files, or folders")
    parser.add_argument("--sample", type=int, default=120, help="mutants at most")
    parser.add_argument("--seed", type=int, default=1, help="chooses them")
    options = parser.parse_args(arguments)
    with copied_tree() as copy:
        codes = [each for path in options.paths for each in _rooms(path)]
        suites = [Suite(each, copy) for each in codes]
        mutants = [(suite, each) for suite in suites for each in suite.prepare()]
        number = min(options.sample, len(mutants))
        _print(f"{number} of {len(mutants)} mutants, chosen by seed {options.seed}")
        chance = random.Random(options.seed)
        chosen = chance.sample(mutants, number)
        outcomes: list[bool] = []
        for suite in suites:
            results = suite.run([each for of, each in chosen if of is suite])
            outcomes += [_is_killed(each) for each in results]
    score = 100 * sum(outcomes) / max(1, len(outcomes))
    _print(f"{sum(outcomes)} of {len(outcomes)} mutants killed: {score:.0f} %")
    return 0 if score >= LEAST else 1


def _is_killed(result: Result) -> bool:
    if result.outcome != "SURVIVED":
        return True
    changed = (line for line in result.diff.splitlines() if line[:1] in {"+", "-"})
    lines = [line for line in changed if line[:3] not in {"+++", "---"}]
    _print(f"SURVIVED: {result.module}:{result.line}", *lines)
    return False


def _rooms(path: str) -> list[str]:
    if path not in {"chassis", "services"}:
        return [path]
    found = (ROOT / path).glob("*/__init__.py")
    return sorted(str(each.parent.relative_to(ROOT)) for each in found)


def _print(*lines: str) -> None:
    for line in lines:
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
