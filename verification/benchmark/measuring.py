"""One measurement: a load on a running system, until the last accepted order is notified."""

import asyncio
import math
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from verification.benchmark import finish, machine
from verification.benchmark.load import Answer, Load, attack, place_one
from verification.benchmark.stage import Running

GIVES_UP_AFTER, OPENS_WITHIN = 120.0, 60.0
LOOKS_EVERY = 0.25


@dataclass(frozen=True)
class Measured:
    """What one load showed; times in milliseconds."""

    contestant: str
    load: str
    accepted: int
    refused: int
    missing: int
    orders_per_second: float
    cpu_ms: dict[str, float]
    memory_mb: dict[str, float]
    post_ms: dict[str, float]
    notified_ms: dict[str, float]
    busy_elsewhere: float
    """The share of the machine that neither the system nor its customers used."""


@dataclass(frozen=True)
class Track:
    """A contestant on the course: its running system, and how its finished orders are counted and read."""

    contestant: str
    running: Running
    vegeta: Path
    by_rows: bool

    def count(self) -> int:
        """Count the orders that have come to their end."""
        by_rows = self.by_rows
        return finish.count_rows(self.running.database) if by_rows else len(self.read())

    def read(self) -> dict[str, float]:
        """Return when each order came to its end."""
        if self.by_rows:
            return finish.read_rows(self.running.database)
        return finish.read_lines(self.running.log)


async def opens(track: Track) -> None:
    """Place single orders until one has come to its end: then every part is there, also the subscription."""
    deadline = time.monotonic() + OPENS_WITHIN
    while not await asyncio.to_thread(track.count):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{track.contestant} notified no order at all")
        await asyncio.to_thread(place_one, track.running.url)
        await asyncio.sleep(LOOKS_EVERY)


async def measure(track: Track, load: Load) -> Measured:
    """Put this load on the system, wait until all that was accepted is notified, and reckon what it took."""
    before, start, count = _used(track), time.perf_counter(), track.count()
    answers = await asyncio.to_thread(attack, track.vegeta, track.running.url, load)
    accepted = {a.order_id: a for a in answers if a.order_id}
    await _all_are_in(track, count + len(accepted))
    seconds, after = time.perf_counter() - start, _used(track)
    finished = {each: at for each, at in track.read().items() if each in accepted}
    used = {part: after[part] - before[part] for part in after}
    machine_ms = seconds * 1000 * machine.PROCESSORS
    elsewhere = used.pop("machine") - used.pop("customers") - sum(used.values())
    waits = [(at - accepted[each].sent) for each, at in finished.items()]
    return Measured(
        track.contestant,
        load.name,
        len(accepted),
        len(answers) - len(accepted),
        len(accepted) - len(finished),
        _rate(answers, finished),
        {part: ms / max(len(finished), 1) for part, ms in used.items()},
        {part: machine.memory_mb(pids) for part, pids in track.running.pids.items()},
        percentiles([a.took for a in accepted.values()]),
        percentiles(waits),
        max(elsewhere, 0) / machine_ms,
    )


def _used(track: Track) -> dict[str, float]:
    customers = resource.getrusage(resource.RUSAGE_CHILDREN)
    own = time.process_time()
    return {
        **{part: machine.cpu_ms(pids) for part, pids in track.running.pids.items()},
        "machine": machine.busy_ms(),
        "customers": (customers.ru_utime + customers.ru_stime + own) * 1000,
    }


def _rate(answers: Sequence[Answer], finished: dict[str, float]) -> float:
    if not finished:
        return 0.0
    return len(finished) / (max(finished.values()) - min(a.sent for a in answers))


async def _all_are_in(track: Track, expected: int) -> None:
    deadline = time.monotonic() + GIVES_UP_AFTER
    while await asyncio.to_thread(track.count) < expected:
        if time.monotonic() > deadline:
            return  # what is missing is counted
        await asyncio.sleep(LOOKS_EVERY)


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """Return the 50th, 95th and 99th percentile in milliseconds, each one that was seen."""
    ordered = sorted(seconds) or [math.nan]
    return {
        f"p{share}": ordered[max(math.ceil(len(ordered) * share / 100) - 1, 0)] * 1000
        for share in (50, 95, 99)
    }
