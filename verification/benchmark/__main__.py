"""Measure ours beside the programs that one would write otherwise: `make bench`.

Each round runs every contestant once, one after the other, each with servers and data of its own: a warm-up,
then as many orders as a number of customers can place, then each fixed rate. Times end at the
notification's SENT row (ours) or at the handled delivery (peers).
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from verification.benchmark import machine, report, stage, tools
from verification.benchmark.ceiling import ceiling
from verification.benchmark.contestants import ALL, BY_NAME, Contestant, entered
from verification.benchmark.load import Load
from verification.benchmark.measuring import Measured, Track, measure, opens

WARM_UP = Load(seconds=2, clients=4)
PUBLISHED = stage.ROOT / "docs" / "performance"
"""The figures and plots that docs/performance.md shows."""


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="make bench")
    add = parser.add_argument
    names = f"{','.join(BY_NAME)}, or as ours+1000000 (stored) or ours-postgresql:2"
    add("--contestants", default="ours,ordinary,faststream", help=names)
    add("--broker", default="rabbitmq", choices=ALL[0].brokers)
    add("--rounds", type=int, default=3)
    add("--seconds", type=float, default=8, help="how long each load lasts")
    add("--clients", type=int, default=8, help="customers at saturation")
    add("--rates", default="50,100", help="orders a second, whoever waits")
    add("--overload", default="", help="parts of saturation, as 1.5,3")
    add("--waiting", type=int, default=0, help="orders that wait for a consumer")
    add("--orders", type=int, default=0, help="a last load, until so many are placed")
    add("--ceiling", action="store_true", help="what RabbitMQ alone carries")
    add("--compare", type=Path, help="another run's figures; else what was published")
    add("--publish", action="store_true", help="write figures and plots to docs")
    return parser.parse_args()


def loads(chosen: argparse.Namespace) -> list[Load]:
    """Return the loads in their order; the first is saturation."""
    seconds, clients = chosen.seconds, chosen.clients
    rates = [int(each) for each in chosen.rates.split(",") if each]
    shares = [float(each) for each in chosen.overload.split(",") if each]
    waiting = [chosen.waiting] if chosen.waiting else []
    last = [chosen.orders] if chosen.orders else []
    return [
        Load(seconds, clients=clients),
        *(Load(seconds, rate=rate) for rate in rates),
        *(Load(seconds, share=share) for share in shares),
        *(Load(seconds, clients, orders=each, waits=True) for each in waiting),
        *(Load(seconds, clients, orders=each) for each in last),
    ]


async def enter(
    contestant: Contestant, broker: str, all_loads: list[Load], vegeta: Path
) -> list[Measured]:
    """Start a contestant, put each load on it, and stop it."""
    with TemporaryDirectory(dir=stage.LOCAL) as folder:
        async with stage.running(Path(folder), contestant, broker) as running:
            track = Track(contestant.name, running, vegeta, contestant.peer is None)
            await opens(track)
            await measure(track, WARM_UP)
            measured: list[Measured] = []
            for load in all_loads:
                peak = measured[0].orders_per_second if measured else 0
                rate = round(load.share * peak) or load.rate
                measured.append(await measure(track, replace(load, rate=rate)))
            return measured


def take_turns(chosen: argparse.Namespace) -> list[Measured]:
    """Measure every contestant in each round, in turns."""
    measured: list[Measured] = []
    vegeta = tools.load_client()
    contestants = [entered(name) for name in chosen.contestants.split(",")]
    for number in range(chosen.rounds):
        for each in contestants:
            if chosen.broker in each.brokers:
                began = time.monotonic()
                came = asyncio.run(enter(each, chosen.broker, loads(chosen), vegeta))
                measured += came
                took = f"({time.monotonic() - began:.0f} s)"
                print(f"round {number + 1}, {report.line(came[0])} {took}", flush=True)
    return measured


def publish(file: Path, broker: str, measured: Sequence[Measured]) -> None:
    """Write the figures, and their plots, to where the documentation shows them."""
    PUBLISHED.mkdir(exist_ok=True)
    (PUBLISHED / f"{broker}.json").write_text(file.read_text())
    for name, plot in report.plotted(measured):
        (PUBLISHED / f"{broker}-{name}").write_text(plot)


def main() -> None:
    """Measure, print the tables, and keep the figures."""
    chosen = options()
    stage.LOCAL.mkdir(parents=True, exist_ok=True)
    sys.path.append(str(tools.packages()))
    before = report.read(chosen.compare or PUBLISHED / f"{chosen.broker}.json")
    started = datetime.now(UTC)
    setting = {
        "broker": chosen.broker,
        "started": started.isoformat(),
        **machine.state(),
        "ceiling": list(ceiling()) if chosen.ceiling else [],
    }
    measured = take_turns(chosen)
    file = stage.LOCAL / f"{started:%Y-%m-%dT%H%M%S}-{chosen.broker}.json"
    report.write(file, {**setting, "load_at_end": machine.state()["load"]}, measured)
    print("\n".join([*report.tables(measured), *report.comparison(before, measured)]))
    print(f"\n{setting}\nAll figures: {file}")
    if chosen.publish:
        publish(file, chosen.broker, measured)


if __name__ == "__main__":
    main()
