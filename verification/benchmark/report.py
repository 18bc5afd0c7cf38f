"""The report: medians and range of all rounds, ratios to the ordinary program, and a file to compare."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from math import nan
from operator import attrgetter
from pathlib import Path
from statistics import median

from verification.benchmark.measuring import Measured
from verification.benchmark.plots import bars, lines

YARDSTICK = "ordinary"
Figure = Callable[[Measured], float]
FIGURES: dict[str, Figure] = {
    "orders/s": lambda m: m.orders_per_second,
    "CPU ms an order": lambda m: sum(m.cpu_ms.values()),
    "POST p50 ms": lambda m: m.post_ms.get("p50", nan),
    "POST p99 ms": lambda m: m.post_ms.get("p99", nan),
    "notified p50 ms": lambda m: m.notified_ms.get("p50", nan),
    "notified p99 ms": lambda m: m.notified_ms.get("p99", nan),
    "pulled %": lambda m: 100 * m.pulled / max(m.accepted, 1),
    "memory MB": lambda m: sum(m.memory_mb.values()),
    "missing": lambda m: m.missing,
    "busy elsewhere": lambda m: m.busy_elsewhere,
}
# Of a load that is more than a system can do.
OVERLOAD: dict[str, Figure] = {
    "refused": lambda m: m.refused,
    "that say when to try again": lambda m: m.said_when,
    "refusal p50 ms": lambda m: m.refusal_ms.get("p50", nan),
    "refusal p99 ms": lambda m: m.refusal_ms.get("p99", nan),
    "failed": lambda m: m.failed,
    "whole after s": lambda m: m.whole_after,
}
COMPARED = ("orders/s", "CPU ms an order", "POST p99 ms", "notified p99 ms")


def line(measured: Measured) -> str:
    """Return the results in one line."""
    figures = list(FIGURES.items())[:2]
    said = (f"{_short(figure(measured))} {name}" for name, figure in figures)
    return f"{measured.contestant}: {', '.join(said)}"


def tables(all_measured: Sequence[Measured]) -> Iterator[str]:
    """Write a Markdown table for each load, with the ratios, and where the CPU time goes."""
    for load in dict.fromkeys(each.load for each in all_measured):
        of_load = [each for each in all_measured if each.load == load]
        rounds = _by_contestant(of_load)
        yield f"\n**{load}** (medians, and the range of {len(of_load) // len(rounds)} rounds)\n"
        yield from _table(rounds, FIGURES)
        if YARDSTICK in rounds:
            yield f"\nRatios to `{YARDSTICK}`, round by round\n"
            yield from _ratios(rounds)
        if any(each.refused or each.failed for each in of_load):
            yield "\nWhat was not accepted\n"
            yield from _table(rounds, OVERLOAD)
        yield "\nCPU ms an order, by part\n"
        yield from _table(rounds, _parts(of_load, attrgetter("cpu_ms")))
        yield "\nMemory MB at the end, by part\n"
        yield from _table(rounds, _parts(of_load, attrgetter("memory_mb")))


def _by_contestant(measured: Sequence[Measured]) -> dict[str, list[Measured]]:
    rounds: dict[str, list[Measured]] = {}
    for each in measured:
        rounds.setdefault(each.contestant, []).append(each)
    return rounds


def _parts(
    measured: Sequence[Measured], figure: Callable[[Measured], dict[str, float]]
) -> dict[str, Figure]:
    parts = dict.fromkeys(part for each in measured for part in figure(each))
    return {part: lambda m, part=part: figure(m).get(part, 0.0) for part in parts}  # type: ignore[misc] # its default


def _table(
    rounds: dict[str, list[Measured]], figures: dict[str, Figure]
) -> Iterator[str]:
    yield f"| | {' | '.join(figures)} |"
    yield "| --- |" + " --- |" * len(figures)
    for contestant, measured in rounds.items():
        cells = [
            _spread([figure(each) for each in measured]) for figure in figures.values()
        ]
        yield f"| {contestant} | {' | '.join(cells)} |"


def _ratios(rounds: dict[str, list[Measured]]) -> Iterator[str]:
    yield f"| | {' | '.join(COMPARED)} |"
    yield "| --- |" + " --- |" * len(COMPARED)
    for contestant, measured in rounds.items():
        pairs = list(zip(measured, rounds[YARDSTICK], strict=False))
        figures = [FIGURES[name] for name in COMPARED]
        cells = [_spread([f(one) / f(other) for one, other in pairs]) for f in figures]
        yield f"| {contestant} | {' | '.join(cells)} |"


def _spread(values: Sequence[float]) -> str:
    middle, low, high = (
        _short(each) for each in (median(values), min(values), max(values))
    )
    return middle if low == high else f"{middle} ({low} to {high})"


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"


def comparison(before: Sequence[Measured], now: Sequence[Measured]) -> Iterator[str]:
    """Write a Markdown table of the medians now, in parts of those before: what both have measured."""
    then = dict(_medians(before))
    rows = [(key, figures, then[key]) for key, figures in _medians(now) if key in then]
    if rows:
        yield "\n**Now, in parts of the figures before**\n"
        yield f"| | | {' | '.join(COMPARED)} |"
        yield "| --- | --- |" + " --- |" * len(COMPARED)
    for (contestant, load), new, old in rows:
        cells = [f"{new[name] / old[name]:.2f}" for name in COMPARED]
        yield f"| {contestant} | {load} | {' | '.join(cells)} |"


def _medians(
    measured: Sequence[Measured],
) -> Iterator[tuple[tuple[str, str], dict[str, float]]]:
    rounds: dict[tuple[str, str], list[Measured]] = {}
    for each in measured:
        rounds.setdefault((each.contestant, each.load), []).append(each)
    for key, of_key in rounds.items():
        yield (
            key,
            {name: median(map(figure, of_key)) for name, figure in FIGURES.items()},
        )


def plotted(measured: Sequence[Measured]) -> Iterator[tuple[str, str]]:
    """Draw the plots; yield each with the name of its file."""
    rounds = _by_contestant([each for each in measured if "clients" in each.load])
    if rounds:
        speeds = {
            name: {"": median(each.orders_per_second for each in of_name)}
            for name, of_name in rounds.items()
        }
        yield "orders.svg", bars("Orders a second, at saturation", speeds)
        used = {
            name: {
                part: median(map(figure, of_name))
                for part, figure in _parts(of_name, attrgetter("cpu_ms")).items()
            }
            for name, of_name in rounds.items()
        }
        yield "cpu.svg", bars("CPU ms an order, at saturation", used)
    for name in ("POST p99 ms", "notified p99 ms"):
        series: dict[str, dict[str, float]] = {}
        for (contestant, load), figures in _medians(measured):
            if load.endswith("orders/s"):
                rate = load.removesuffix(" orders/s")
                series.setdefault(contestant, {})[rate] = figures[name]
        if series:
            file = name.removesuffix(" ms").replace(" ", "-").lower()
            yield f"{file}.svg", lines(f"{name}, by orders a second", series)


def read(file: Path) -> list[Measured]:
    """Return what another run has measured; nothing where there is no such file."""
    document = json.loads(file.read_text()) if file.exists() else {"measured": []}
    return [Measured(**each) for each in document["measured"]]


def write(file: Path, setting: dict[str, object], measured: Sequence[Measured]) -> None:
    """Write all that was measured as JSON."""
    document = {**setting, "measured": [asdict(each) for each in measured]}
    file.write_text(json.dumps(document, indent=1))
