"""One measurement: a load on a running system, until the last accepted order is notified."""

import asyncio
import math
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from verification.benchmark import finish, machine
from verification.benchmark.load import Answer, Load, attack, place_one
from verification.benchmark.stage import Running

GIVES_UP_AFTER, OPENS_WITHIN = 60.0, 60.0
"""Seconds without another notification, and until the first."""
LOOKS_EVERY = 0.25
RESTS_WITHIN, AT_REST = 30.0, 0.3
"""Seconds until the next load begins all the same, and the share of a processor that is next to nothing."""


@dataclass(frozen=True)
class Measured:
    """What one load showed; times in milliseconds."""

    contestant: str
    load: str
    accepted: int
    refused: int
    """Answered 429 or 503; `said_when`: those of them that name a time to try again."""
    said_when: int
    failed: int
    missing: int
    orders_per_second: float
    cpu_ms: dict[str, float]
    memory_mb: dict[str, float]
    post_ms: dict[str, float]
    refusal_ms: dict[str, float]
    notified_ms: dict[str, float]
    whole_after: float
    """Seconds from the end of the load until all is notified, and the system at rest."""
    busy_elsewhere: float
    """The share of the machine that neither the system nor its customers used."""
    pulled: int = 0
    """Of the accepted, those that the pull brought, and not the broker: ours alone has a pull."""


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

    def pulled(self) -> int:
        """Count the orders that the broker did not bring, or not in time."""
        return finish.count_pulled(self.running.database) if self.by_rows else 0

    def read(self) -> dict[str, float]:
        """Return when each order came to its end."""
        if self.by_rows:
            return finish.read_rows(self.running.database)
        return finish.read_lines(self.running.logs)


async def opens(track: Track) -> None:
    """Place single orders until one has come to its end: then every part is there, also the subscription."""
    deadline = time.monotonic() + OPENS_WITHIN
    while not await asyncio.to_thread(track.count):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{track.contestant} notified no order at all")
        await asyncio.to_thread(place_one, track.running.urls[0])
        await asyncio.sleep(LOOKS_EVERY)


async def measure(track: Track, load: Load) -> Measured:
    """Put this load on the system, wait until all that was accepted is notified, and reckon what it took.

    Where the orders have to wait, the clock runs from when the notification service starts.
    """
    count, pulled = track.count(), track.pulled()
    if load.waits:
        await asyncio.to_thread(track.running.stop_consumers)
        answers = await _place(track, load)
        before, began = _used(track), time.time()
        await asyncio.to_thread(track.running.start_consumers)
        first, ended = began, began
    else:
        before = _used(track)
        answers = await _place(track, load)
        first, ended = min(a.sent for a in answers), time.time()
    await _all_are_in(track, count + sum(1 for a in answers if a.order_id))
    await _is_at_rest(track)
    after, span = _used(track), (first, time.time() - ended)
    used = {part: ms - before.get(part, 0) for part, ms in after.items()}
    measured = _reckon(track, load, answers, used, span)
    return replace(measured, pulled=track.pulled() - pulled)


def _reckon(
    track: Track,
    load: Load,
    answers: Sequence[Answer],
    used: dict[str, float],
    span: tuple[float, float],
) -> Measured:
    elsewhere = used.pop("machine") - used.pop("customers")
    machine_ms = used.pop("time") * machine.PROCESSORS
    accepted = {a.order_id: a for a in answers if a.order_id}
    finished = {each: at for each, at in track.read().items() if each in accepted}
    last = max(finished.values(), default=math.inf)
    refused = [a for a in answers if a.refused]
    return Measured(
        contestant=track.contestant,
        load=load.name,
        accepted=len(accepted),
        refused=len(refused),
        said_when=sum(a.said_when for a in refused),
        failed=len(answers) - len(accepted) - len(refused),
        missing=len(accepted) - len(finished),
        orders_per_second=len(finished) / (last - span[0]),
        cpu_ms={part: ms / max(len(finished), 1) for part, ms in used.items()},
        memory_mb=_memory(track),
        post_ms=percentiles([a.took for a in accepted.values()]),
        refusal_ms=percentiles([a.took for a in refused]),
        notified_ms=percentiles(
            [at - accepted[each].sent for each, at in finished.items()]
        ),
        whole_after=span[1],
        busy_elsewhere=max(elsewhere - sum(used.values()), 0) / machine_ms,
    )


async def _place(track: Track, load: Load) -> list[Answer]:
    return await asyncio.to_thread(attack, track.vegeta, track.running.urls, load)


def _used(track: Track) -> dict[str, float]:
    customers = resource.getrusage(resource.RUSAGE_CHILDREN)
    own = time.process_time()
    return {
        **{part: machine.cpu_ms(pids) for part, pids in track.running.pids.items()},
        "time": time.time() * 1000,
        "machine": machine.busy_ms(),
        "customers": (customers.ru_utime + customers.ru_stime + own) * 1000,
    }


def _memory(track: Track) -> dict[str, float]:
    pids = track.running.pids.items()
    return {part: machine.memory_mb(each) for part, each in pids}


async def _all_are_in(track: Track, expected: int) -> None:
    seen, deadline = -1, 0.0
    while (count := await asyncio.to_thread(track.count)) < expected:
        if count > seen:
            seen, deadline = count, time.monotonic() + GIVES_UP_AFTER
        if time.monotonic() > deadline:
            return  # what is missing is counted
        await asyncio.sleep(LOOKS_EVERY)


async def _is_at_rest(track: Track) -> None:
    # What is still on its way twice, as after an overload, would be in the way of the next load.
    deadline, busy = time.monotonic() + RESTS_WITHIN, True
    while busy and time.monotonic() < deadline:
        before = sum(map(machine.cpu_ms, track.running.pids.values()))
        await asyncio.sleep(LOOKS_EVERY)
        used = sum(map(machine.cpu_ms, track.running.pids.values())) - before
        busy = used > AT_REST * LOOKS_EVERY * 1000


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """Return the 50th, 95th and 99th percentile in milliseconds, each one that was seen; nothing of nothing."""
    ordered = sorted(seconds)
    places = {
        share: math.ceil(len(ordered) * share / 100) - 1 for share in (50, 95, 99)
    }
    return {f"p{each}": ordered[at] * 1000 for each, at in places.items() if ordered}
