"""The report: medians and range of all rounds, ratios to the ordinary program, and a file to compare."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median

from verification.benchmark.measuring import Measured

YARDSTICK = "ordinary"
Figure = Callable[[Measured], float]
FIGURES: dict[str, Figure] = {
    "orders/s": lambda m: m.orders_per_second,
    "CPU ms an order": lambda m: sum(m.cpu_ms.values()),
    "POST p50 ms": lambda m: m.post_ms["p50"],
    "POST p99 ms": lambda m: m.post_ms["p99"],
    "notified p50 ms": lambda m: m.notified_ms["p50"],
    "notified p99 ms": lambda m: m.notified_ms["p99"],
    "memory MB": lambda m: sum(m.memory_mb.values()),
    "refused": lambda m: m.refused,
    "missing": lambda m: m.missing,
    "busy elsewhere": lambda m: m.busy_elsewhere,
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
        yield "\nCPU ms an order, by part\n"
        yield from _table(rounds, _parts(of_load))


def _by_contestant(measured: Sequence[Measured]) -> dict[str, list[Measured]]:
    rounds: dict[str, list[Measured]] = {}
    for each in measured:
        rounds.setdefault(each.contestant, []).append(each)
    return rounds


def _parts(measured: Sequence[Measured]) -> dict[str, Figure]:
    parts = dict.fromkeys(part for each in measured for part in each.cpu_ms)
    return {part: lambda m, part=part: m.cpu_ms.get(part, 0.0) for part in parts}  # type: ignore[misc] # its default


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


def write(file: Path, setting: dict[str, object], measured: Sequence[Measured]) -> None:
    """Write all that was measured as JSON."""
    document = {**setting, "measured": [asdict(each) for each in measured]}
    file.write_text(json.dumps(document, indent=1))
