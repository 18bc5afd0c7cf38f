"""Measure ours beside the programs that one would write otherwise: `make bench`.

Each round runs every contestant once, one after the other, each with servers and data of its own: a warm-up,
then as many orders as a number of customers can place, then each fixed rate. Times end at the
notification's SENT row (ours) or at the handled delivery (peers).
"""

import argparse
import asyncio
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from verification.benchmark import machine, report, stage, tools
from verification.benchmark.contestants import ALL, BY_NAME, Contestant
from verification.benchmark.load import Load
from verification.benchmark.measuring import Measured, Track, measure, opens

WARM_UP = Load(seconds=2, clients=4)


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument(
        "--contestants", default="ours,ordinary,faststream", help=",".join(BY_NAME)
    )
    parser.add_argument("--broker", default="rabbitmq", choices=ALL[0].brokers)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--seconds", type=float, default=8, help="how long each load lasts"
    )
    parser.add_argument(
        "--clients", type=int, default=8, help="customers at saturation"
    )
    parser.add_argument(
        "--rates", default="50,100", help="orders a second, whoever waits"
    )
    return parser.parse_args()


async def enter(
    contestant: Contestant, broker: str, loads: list[Load], vegeta: Path
) -> list[Measured]:
    """Start a contestant, put each load on it, and stop it."""
    with TemporaryDirectory(dir=stage.LOCAL) as folder:
        async with stage.running(Path(folder), contestant, broker) as running:
            track = Track(contestant.name, running, vegeta, contestant.peer is None)
            await opens(track)
            await measure(track, WARM_UP)
            return [await measure(track, load) for load in loads]


def main() -> None:
    """Measure, print the tables, and keep the figures."""
    chosen = options()
    stage.LOCAL.mkdir(parents=True, exist_ok=True)
    sys.path.append(str(tools.packages()))
    vegeta, measured = tools.load_client(), list[Measured]()
    entered = [BY_NAME[name] for name in chosen.contestants.split(",")]
    entered = [each for each in entered if chosen.broker in each.brokers]
    rates = [int(rate) for rate in chosen.rates.split(",") if rate]
    loads = [
        Load(chosen.seconds, clients=chosen.clients),
        *(Load(chosen.seconds, rate=rate) for rate in rates),
    ]
    setting = {
        "broker": chosen.broker,
        "started": datetime.now(UTC).isoformat(),
        **machine.state(),
    }
    for number in range(chosen.rounds):
        for contestant in entered:
            began = time.monotonic()
            came = asyncio.run(enter(contestant, chosen.broker, loads, vegeta))
            measured += came
            took = time.monotonic() - began
            print(
                f"round {number + 1}, {report.line(came[0])} ({took:.0f} s)", flush=True
            )
    file = stage.LOCAL / f"{datetime.now(UTC):%Y-%m-%dT%H%M%S}-{chosen.broker}.json"
    report.write(file, {**setting, "load_at_end": machine.state()["load"]}, measured)
    print("\n".join(report.tables(measured)))
    print(f"\n{setting}\nAll figures: {file}")


if __name__ == "__main__":
    main()
