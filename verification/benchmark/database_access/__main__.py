"""Measure what it costs to store an order and its outbox row, by the way a handler reaches the database.

    python -m verification.benchmark.database_access [--rounds 5] [--orders 400] [--postgresql]

Each way serves a small protocol on an event loop: customers in another process send an order as a line and
wait for the answer, and each line costs the loop a fixed 0.3 ms besides, about what FastAPI takes for a
request. There are always customers enough to fill the next group. The ways take turns, round after round, and
medians count. CPU is that of all threads of the serving process; PostgreSQL's own is not in it. What it
showed: docs/decisions/0012.
"""

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncEngine

from verification.benchmark import stage, tools
from verification.benchmark.database_access import ways
from verification.benchmark.database_access.customers import send_lines
from verification.benchmark.database_access.stored import Base
from verification.benchmark.database_access.ways import Unit, Way
from verification.benchmark.stage import LOCAL

GROUPS = (1, 4, 8, 50)
WARM = 100
REQUEST_MS = 0.3


@dataclass(frozen=True)
class Figures:
    """What one order took, in milliseconds: CPU, wall time, and the median wait for an answer."""

    cpu: float
    wall: float
    p50: float
    grouped: float
    """How many orders a transaction had, in the mean."""


class Served(asyncio.Protocol):
    """One customer's connection: a line comes, an order is stored, a line goes back."""

    def __init__(self, way: Way, spins: int, marks: list[tuple[float, float]]) -> None:
        self._way, self._spins, self._marks = way, spins, marks

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - asyncio's own signature is wider than ours
        """Keep where the answers go."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Serve a request in a task of its own, as a web framework does."""
        self._task = asyncio.ensure_future(self._serve(data))

    async def _serve(self, line: bytes) -> None:
        spin(self._spins)
        unit = Unit(json.loads(line)["customerName"])
        self._way.put(unit)
        order_id = await unit.answer
        self._transport.write(json.dumps({"orderId": str(order_id)}).encode() + b"\n")
        self._marks.append((time.process_time(), time.perf_counter()))


def spin(times: int) -> None:
    """Keep the interpreter busy, as parsing, validation and routing do."""
    for _ in range(times):
        json.loads(
            '{"customerName": "Jane Doe", "customerEmail": "jane@example.org", "lines": [1, 2, 3]}'
        )


@dataclass(frozen=True)
class Customers:
    """Who places the orders: a process beside this one, and what each order costs the loop besides."""

    process: ProcessPoolExecutor
    orders: int
    spins: int


async def measure(way: Way, clients: int, customers: Customers) -> Figures:
    """Place the orders by so many customers, one at a time each."""
    loop, marks = asyncio.get_running_loop(), list[tuple[float, float]]()

    def accept() -> Served:
        return Served(way, customers.spins, marks)

    server = await loop.create_server(accept, "127.0.0.1", 0)
    port, orders = (
        server.sockets[0].getsockname()[1],
        WARM + customers.orders + 4 * clients,
    )
    latencies = await loop.run_in_executor(
        customers.process, send_lines, port, clients, orders
    )
    server.close()
    await way.close()
    (cpu, wall), (cpu_end, wall_end) = marks[WARM], marks[-1]
    counted = (len(marks) - 1 - WARM) / 1000
    p50 = statistics.median(latencies[WARM:])
    grouped = len(marks) / (way.groups or len(marks))
    return Figures((cpu_end - cpu) / counted, (wall_end - wall) / counted, p50, grouped)


@dataclass(frozen=True)
class Case:
    """One row of the table: a way, its driver, and how many transactions it may have under way."""

    name: str
    driver: str
    lanes: int
    make: Callable[[Any, int, int], Way]
    """Given an open engine, the size of a group, and the lanes."""


CASES = (
    Case("no database", "sqlite", 1, ways.nothing),
    Case("asynchronous session", "sqlite+aiosqlite", 1, ways.asynchronous),
    Case("session on a writer thread", "sqlite", 1, ways.mapped_on_threads),
    Case("on the loop, COMMIT in a thread", "sqlite", 1, ways.commit_aside),
    Case("Core on a writer thread", "sqlite", 1, ways.core_on_threads),
    Case("asynchronous session", "postgresql+asyncpg", 1, ways.asynchronous),
    Case("session on a writer thread", "postgresql+psycopg", 1, ways.mapped_on_threads),
    Case("asynchronous session", "postgresql+asyncpg", 2, ways.asynchronous),
    Case("session on writer threads", "postgresql+psycopg", 2, ways.mapped_on_threads),
    Case("asynchronous session", "postgresql+asyncpg", 4, ways.asynchronous),
    Case("session on writer threads", "postgresql+psycopg", 4, ways.mapped_on_threads),
    Case("Core on writer threads", "postgresql+psycopg", 4, ways.core_on_threads),
)


Measured = dict[tuple[Case, int], list[Figures]]


async def take_turns(urls: dict[str, str], rounds: int, orders: int) -> Measured:
    """Measure every case at every size of a group, in turns."""
    figures: Measured = {}
    with ProcessPoolExecutor(1, get_context("fork")) as pool:
        pool.submit(int).result()  # forked now, before there are threads
        customers = Customers(pool, orders, calibrate())
        cases = [each for each in CASES if each.driver.split("+")[0] in urls]
        engines = [await _opened(case, urls) for case in cases]
        for _ in range(rounds):
            for case, engine in zip(cases, engines, strict=True):
                for group in GROUPS:
                    way = case.make(engine, group, case.lanes)
                    clients = group * (case.lanes + 1)
                    measured = await measure(way, clients, customers)
                    figures.setdefault((case, group), []).append(measured)
        for engine in engines:
            await _closed(engine)
    return figures


async def _opened(case: Case, urls: dict[str, str]) -> Engine | AsyncEngine:
    database = case.driver.split("+")[0]
    engine = ways.open_engine(urls[database].replace(database, case.driver, 1))
    if isinstance(engine, AsyncEngine):
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
    else:
        Base.metadata.create_all(engine)
    return engine


async def _closed(engine: Engine | AsyncEngine) -> None:
    if isinstance(engine, AsyncEngine):
        await engine.dispose()
    else:
        engine.dispose()


def calibrate() -> int:
    """Return how often to spin for the time that a request takes."""
    started = time.process_time()
    spin(20_000)
    return round(20_000 * REQUEST_MS / 1000 / (time.process_time() - started))


def table(figures: Measured) -> Iterator[str]:
    """Write medians as a Markdown table, with half the range of the rounds behind the CPU time."""
    yield "CPU ms (± spread) / wall ms an order / p50 of the answer / orders a commit, by largest group\n"
    yield f"| driver, way, lanes | {' | '.join(map(str, GROUPS))} |"
    yield "| --- |" + " --- |" * len(GROUPS)
    for case in dict.fromkeys(case for case, _ in figures):
        cells = [_cell(figures[case, group]) for group in GROUPS]
        yield f"| {case.driver}, {case.name}, {case.lanes} | {' | '.join(cells)} |"


def _cell(rounds: Sequence[Figures]) -> str:
    cpu = [each.cpu for each in rounds]
    wall = statistics.median(each.wall for each in rounds)
    p50 = statistics.median(each.p50 for each in rounds)
    grouped = statistics.median(each.grouped for each in rounds)
    spread = (max(cpu) - min(cpu)) / 2
    return f"{statistics.median(cpu):.2f} ± {spread:.2f} / {wall:.2f} / {p50:.0f} / {grouped:.0f}"


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog="database_access")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--orders", type=int, default=400)
    parser.add_argument("--postgresql", action="store_true")
    chosen = parser.parse_args()
    LOCAL.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(dir=LOCAL)))
        urls = {"sqlite": f"sqlite:///{folder / 'orders.db'}"}
        if chosen.postgresql:
            sys.path.append(str(tools.packages()))
            urls["postgresql"] = stack.enter_context(stage.postgresql_server(folder))
        figures = asyncio.run(take_turns(urls, chosen.rounds, chosen.orders))
    print("\n".join(table(figures)))


if __name__ == "__main__":
    main()
