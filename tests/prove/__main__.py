"""Take out each safeguard in turn, in a copy of the working tree, and tell which test notices.

python -m tests.prove [--jobs 2] [--list] [word ...]: the safeguards in whose names one of the words is.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue

from tests.prove.all_safeguards import THEMES
from tests.prove.rig import LIMIT_OF_ALL, PASSED, Verdict, a_copy, prove, ran, simulated
from tests.prove.safeguard import Safeguard
from tests.prove.simulated import NOTHING

Proven = tuple[Safeguard, Verdict, float]
"""A safeguard, what was said without it, and how many seconds that took."""


def main() -> int:
    """Prove what is asked for; status 1 where something survives, 2 where tests are red without that."""
    parser = argparse.ArgumentParser(prog="python -m tests.prove")
    parser.add_argument("words", nargs="*", help="part of a safeguard's name")
    parser.add_argument("--jobs", type=int, default=2, help="how many at once")
    parser.add_argument("--list", action="store_true", help="only name them")
    said = parser.parse_args()
    chosen = [s for s in _in_order() if _is_asked_for(s, said.words)]
    if said.list:
        say(*(each.name for each in chosen))
        return 0
    began = time.monotonic()
    with ExitStack() as stack:
        copies = [stack.enter_context(a_copy()) for _ in range(said.jobs)]
        if not _are_green(chosen, copies[0], said.jobs):
            return 2
        proven = [_shown(each) for each in _proofs(chosen, copies)]
    return _summary(proven, time.monotonic() - began)


def _in_order() -> list[Safeguard]:
    # What needs a system of its own comes last, and alone.
    every = [each for theme in THEMES.values() for each in theme]
    return sorted(every, key=lambda each: each.on_the_real_system)


def _is_asked_for(safeguard: Safeguard, words: Sequence[str]) -> bool:
    return not words or any(word in safeguard.name for word in words)


def _are_green(chosen: Sequence[Safeguard], copy: Path, jobs: int) -> bool:
    """Run all their tests, with nothing taken out: one that is red already would notice anything."""
    asked = dict.fromkeys(test for each in chosen for test in each.tests)
    say(f"{len(chosen)} safeguards; first their {len(asked)} tests as things are")
    spread = ["-n", str(jobs)]
    found = ran(copy, [*spread, *asked], LIMIT_OF_ALL) if asked else None
    verdicts = [found] if found else []
    verdicts += [simulated(copy, each.faults) for each in chosen if each.faults]
    red = [each for each in verdicts if each.why not in {PASSED, NOTHING}]
    for each in red:
        say(f"RED before anything was taken out: {each.by} {each.why}")
    return not red


def _proofs(chosen: Sequence[Safeguard], copies: Sequence[Path]) -> Iterator[Proven]:
    free: SimpleQueue[Path] = SimpleQueue()
    for copy in copies:
        free.put(copy)

    def proof(safeguard: Safeguard) -> Proven:
        copy, began = free.get(), time.monotonic()
        try:
            return safeguard, prove(safeguard, copy), time.monotonic() - began
        finally:
            free.put(copy)

    with ThreadPoolExecutor(len(copies)) as pool:
        yield from pool.map(proof, (s for s in chosen if not s.on_the_real_system))
    yield from map(proof, (s for s in chosen if s.on_the_real_system))


def _shown(proven: Proven) -> Proven:
    safeguard, verdict, took = proven
    word = "caught" if verdict.caught else "SURVIVED"
    say(f"{word:<8} {took:5.1f} s  {safeguard.name}")
    say(*(f"{'':18}{each}" for each in (verdict.by, verdict.why) if each))
    return proven


def _summary(proven: Sequence[Proven], took: float) -> int:
    survivors = [each for each in proven if not each[1].caught]
    caught = len(proven) - len(survivors)
    say("", f"{caught} of {len(proven)} safeguards caught, in {took:.0f} s")
    for each, verdict, _ in survivors:
        say("", f"SURVIVED: {each.name} ({verdict.why})", each.file)
        say(*(f"- {line}" for line in each.old.splitlines()))
        say(*(f"+ {line}" for line in each.new.splitlines()))
    return 1 if survivors or not proven else 0


def say(*lines: str) -> None:
    """Write lines, at once."""
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
