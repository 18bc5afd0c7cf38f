"""Run schedules of the simulation until one is violated: python -m tests.prove.simulated 40."""

import sys

from tests.simulation.run import run
from tests.simulation.schedule import schedule


def main(seeds: int) -> int:
    """Run the schedules of the seeds from 0 on; status 1 where one is violated."""
    for seed in range(seeds):
        planned = schedule(seed)
        if found := run(planned).violations:
            sys.stdout.write(f"violated: seed {seed} ({planned.profile}): {found[0]}\n")
            return 1
    sys.stdout.write(f"nothing is violated in {seeds} schedules\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
