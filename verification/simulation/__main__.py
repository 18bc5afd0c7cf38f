"""Run as many schedules as are asked for, on all cores, and print what they found.

python -m verification.simulation SEEDS [--from N] [--profile redis] [--processes N];
python -m verification.simulation --seed N [--only 0,3] replays one.
"""

import argparse
import sys
import time
from collections import Counter

from verification.simulation.cores import on_all_cores
from verification.simulation.profiles import PROFILES
from verification.simulation.run import Result, run
from verification.simulation.schedule import Schedule, schedule
from verification.simulation.shrink import shrink


def main() -> int:
    """Run what the command line asks for; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m verification.simulation")
    parser.add_argument("seeds", nargs="?", type=int, default=100)
    parser.add_argument("--from", dest="first", type=int, default=0)
    parser.add_argument("--seed", type=int)
    parser.add_argument(
        "--digests", action="store_true", help="print what tells runs apart"
    )
    parser.add_argument("--processes", type=int, help="as many as there are cores")
    parser.add_argument("--profile", choices=PROFILES)
    parser.add_argument("--only", help="the numbers of the faults that are to happen")
    options = parser.parse_args()
    if options.seed is not None:
        return replay(schedule(options.seed, options.profile), options.only)
    seeds = range(options.first, options.first + options.seeds)
    planned = [schedule(each, options.profile) for each in seeds]
    if options.digests:
        _print(*(run(each).digest for each in planned))
        return 0
    return explore(planned, options.processes)


def replay(planned: Schedule, only: str | None) -> int:
    """Run one schedule again, and print all that happened."""
    if only is not None:
        planned = planned.only(int(each) for each in only.split(",") if each)
    result = run(planned)
    _print(*result.trace, *_shown(result))
    return 1 if result.violations else 0


def explore(schedules: list[Schedule], processes: int | None) -> int:
    """Run these schedules, on so many cores; shrink and print each that fails."""
    started, seeds = time.monotonic(), len(schedules)
    per_profile = {each.profile: Counter[str]() for each in schedules}
    failed = 0
    for done, result in enumerate(on_all_cores(schedules, processes), 1):
        found = Counter(each.partition(":")[0] for each in result.violations)
        per_profile[result.schedule.profile] += (
            result.counted + found + Counter(seeds=1)
        )
        if result.violations:
            failed += 1
            _print(*_shown(result), *_smaller(result))
        if done % 100 == 0:
            _print(f"{done} of {seeds} seeds, {failed} failed")
    seconds = time.monotonic() - started
    for profile, counted in per_profile.items():
        _print(f"{profile:<9}{_row(counted)}")
    rate = seeds / seconds
    _print(f"{seeds} seeds, {failed} failed, {seconds:.0f} s, {rate:.1f} a second")
    return 1 if failed else 0


def _smaller(failed: Result) -> list[str]:
    planned, kinds = failed.schedule, _kinds(failed)
    # What is left must fail in the same ways, and not in any way.
    places = shrink(planned, lambda fewer: kinds <= _kinds(run(fewer)))
    only, seed = ",".join(map(str, places)), planned.seed
    return [
        *_shown(run(planned.only(places))),
        f"python -m verification.simulation --profile {planned.profile} --seed {seed} "
        f'--only "{only}"',
    ]


def _kinds(result: Result) -> set[str]:
    return {each.partition(":")[0] for each in result.violations}


def _shown(result: Result) -> list[str]:
    planned = result.schedule
    many = f"{planned.orders} orders, {planned.unknown_mail} unknown mail"
    title = f"seed {planned.seed} ({planned.profile}, {many})"
    faults = (f"  {n}. {each}" for n, each in enumerate(planned.faults))
    found = result.violations or ["nothing is violated"]
    return [title, *faults, *(f"  -> {each}" for each in found)]


def _row(counted: Counter[str]) -> str:
    names = ["seeds", "orders", "fault", "crash", "lost", "twice", "stuck"]
    columns = (f"{counted[each]:>6} {each}" for each in names)
    return f"{' '.join(columns)} {counted['seconds']:>8} virtual seconds"


def _print(*lines: str) -> None:
    for line in lines:
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
