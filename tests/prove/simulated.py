"""Run the simulation with these faults, and say what is violated.

python -m tests.prove.simulated "message 1: drop" "send 1: lose the answer"
"""

import re
import sys
from collections.abc import Sequence
from unittest.mock import patch

from tests.simulation.run import run
from tests.simulation.schedule import Fault, Schedule

ORDERS = 3
SETTLED = 180.0
"""Virtual seconds after the last fault: a mail of which nobody knows is sent again after two minutes."""
NOTHING = "nothing is violated"
_FAULT = re.compile(r"(\w+) ([\d.]+): (.+?)(?: \(([\d.]+) s\))?")


def main(said: Sequence[str]) -> int:
    """Run it; status 1 where it is violated."""
    faults = tuple(_read(each) for each in said)
    # What is stuck is not waited for as long as usual.
    with patch("tests.simulation.run.DEADLINE", SETTLED):
        found = run(Schedule(0, "worst", ORDERS, faults)).violations
    for each in [f"violated: {each}" for each in found] or [NOTHING]:
        sys.stdout.write(f"{each}\n")
    return 1 if found else 0


def _read(written: str) -> Fault:
    # As the simulation itself shows them (tests/simulation/schedule.py).
    if not (found := _FAULT.fullmatch(written)):
        raise ValueError(f"{written!r} is no fault")
    return Fault(found[1], found[3], float(found[2]), float(found[4] or 0))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
