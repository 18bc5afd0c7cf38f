"""Break each promise in turn, in a copy of the working tree, and report which test notices.

python -m verification.mutation [--list] [word ...]: the mutants in whose promise or place one of the words is.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from verification.mutation.mutant import Mutant, load
from verification.mutation.rig import (
    BASELINE_LIMIT,
    PASSED,
    Verdict,
    copied_tree,
    run,
    try_out,
)


def main(arguments: Sequence[str]) -> int:
    """Try out what is asked for; return 1 where a mutant survives, 2 where tests fail without one."""
    parser = argparse.ArgumentParser(prog="python -m verification.mutation")
    parser.add_argument("words", nargs="*", help="part of a promise, or of a place")
    parser.add_argument("--list", action="store_true", help="only list them")
    options = parser.parse_args(arguments)
    chosen = [each for each in load() if _is_asked_for(each, options.words)]
    if options.list:
        say(*(f"{each.place}: {each.promise()}" for each in chosen))
        return 0
    with copied_tree() as copy:
        return _try_out_all(chosen, copy)


def _is_asked_for(mutant: Mutant, words: Sequence[str]) -> bool:
    text = f"{mutant.place} {mutant.promise()}".lower()
    return not words or any(word.lower() in text for word in words)


def _try_out_all(chosen: Sequence[Mutant], copy: Path) -> int:
    started = time.monotonic()
    say(f"{len(chosen)} mutants; first their tests without any")
    tests = [*dict.fromkeys(each.node_id() for each in chosen)]
    baseline = run(copy, tests, BASELINE_LIMIT)
    if baseline.reason != PASSED:
        say(f"RED without a mutant: {baseline.test} {baseline.reason}")
        return 2
    survivors = [each for each in chosen if not _report(each, copy).killed]
    killed, seconds = len(chosen) - len(survivors), time.monotonic() - started
    say("", f"{killed} of {len(chosen)} mutants killed, in {seconds:.0f} s")
    for each in survivors:
        say(f"SURVIVED: {each.promise()}", f"  {each.place}: {each.old} -> {each.new}")
    return 1 if survivors or not chosen else 0


def _report(mutant: Mutant, copy: Path) -> Verdict:
    started = time.monotonic()
    verdict = try_out(mutant, copy)
    word = "killed" if verdict.killed else "SURVIVED"
    say(f"{word:<8} {time.monotonic() - started:5.1f} s  {mutant.promise()}")
    say(*(f"{'':18}{each}" for each in (verdict.test, verdict.reason) if each))
    return verdict


def say(*lines: str) -> None:
    """Print lines at once."""
    for line in lines:
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
