"""The ways in which a handler's order and its outbox row can reach the database.

Units that wait are grouped, up to so many a transaction. A lane runs one transaction at a time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, create_engine, event, insert
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from verification.benchmark.database_access import stored
from verification.benchmark.database_access.stored import Order, OutboxRow

PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    "busy_timeout=5000",
)


def _answer() -> "asyncio.Future[UUID | None]":
    return asyncio.get_running_loop().create_future()


@dataclass
class Unit:
    """An order that waits for its transaction, and the answer that it waits for."""

    customer: str
    answer: asyncio.Future[UUID | None] = field(default_factory=_answer)


Store = Callable[[Session, Sequence[str]], list[UUID]]


def store_mapped(session: Session, customers: Sequence[str]) -> list[UUID]:
    """Run a plain handler for each order: `session.add`, and one flush for all of them at the commit."""
    ids = []
    for customer in customers:
        order, row = stored.facts(customer)
        session.add_all([Order(**order), OutboxRow(**row)])
        ids.append(order["id"])
    return ids


def store_core(session: Session, customers: Sequence[str]) -> list[UUID]:
    """Write all orders with one statement, and all outbox rows with another."""
    facts = [stored.facts(customer) for customer in customers]
    connection = session.connection()
    connection.execute(insert(Order.__table__), [order for order, _ in facts])  # type: ignore[arg-type] # a Table
    connection.execute(insert(OutboxRow.__table__), [row for _, row in facts])  # type: ignore[arg-type]
    return [order["id"] for order, _ in facts]


def resolve(units: Sequence[Unit], ids: Sequence[UUID | None]) -> None:
    """Answer a whole group, on the loop."""
    for unit, order_id in zip(units, ids, strict=True):
        unit.answer.set_result(order_id)


class Way:
    """A way to reach the database: `put` takes a unit, and somebody resolves it after its commit."""

    groups = 0
    """How many transactions there were."""

    def put(self, unit: Unit) -> None:
        """Answer at once: this way stores nothing."""
        unit.answer.set_result(None)

    async def close(self) -> None:
        """Stop what the way has started."""


class OnLoop(Way):
    """Tasks of the event loop, each of which takes a group that waits and awaits its transaction."""

    def __init__(
        self, run: Callable[[list[str]], Awaitable[list[UUID]]], group: int, lanes: int
    ) -> None:
        self._run, self._group = run, group
        self._waiting: asyncio.Queue[Unit] = asyncio.Queue()
        self._lanes = [asyncio.create_task(self._work()) for _ in range(lanes)]

    def put(self, unit: Unit) -> None:
        """Queue it."""
        self._waiting.put_nowait(unit)

    async def _work(self) -> None:
        while True:
            units = [await self._waiting.get()]
            while len(units) < self._group and not self._waiting.empty():
                units.append(self._waiting.get_nowait())
            self.groups += 1
            resolve(units, await self._run([unit.customer for unit in units]))

    async def close(self) -> None:
        """End the tasks."""
        for lane in self._lanes:
            lane.cancel()
        await asyncio.gather(*self._lanes, return_exceptions=True)


class OnThreads(Way):
    """Writer threads, each of which runs a group in one transaction and hands all answers back at once."""

    def __init__(
        self, run: Callable[[list[str]], list[UUID]], group: int, lanes: int
    ) -> None:
        self._run, self._group, self._loop = run, group, asyncio.get_running_loop()
        self._waiting: SimpleQueue[Unit | None] = SimpleQueue()
        self._lanes = [Thread(target=self._work) for _ in range(lanes)]
        for lane in self._lanes:
            lane.start()

    def put(self, unit: Unit) -> None:
        """Queue it."""
        self._waiting.put(unit)

    def _work(self) -> None:
        for units in iter(self._take, []):
            ids = self._run([unit.customer for unit in units])
            self.groups += 1
            self._loop.call_soon_threadsafe(resolve, units, ids)

    def _take(self) -> list[Unit]:
        if (first := self._waiting.get()) is None:
            return []
        units = [first]
        with suppress(Empty):
            while len(units) < self._group and (unit := self._waiting.get_nowait()):
                units.append(unit)
        return units

    async def close(self) -> None:
        """End the threads, once nothing waits."""
        for _ in self._lanes:
            self._waiting.put(None)
        for lane in self._lanes:
            await asyncio.to_thread(lane.join)


def write(engine: Engine, store: Store, customers: list[str]) -> list[UUID]:
    """Store a group in one transaction."""
    with Session(engine, expire_on_commit=False) as session, session.begin():
        return store(session, customers)


def asynchronous(engine: AsyncEngine, group: int, lanes: int) -> Way:
    """Run handlers on an asynchronous session, whose every statement is a hand-off or a wait on the loop."""

    async def run(customers: list[str]) -> list[UUID]:
        async with (
            AsyncSession(engine, expire_on_commit=False) as session,
            session.begin(),
        ):
            return await session.run_sync(store_mapped, customers)

    return OnLoop(run, group, lanes)


def commit_aside(engine: Engine, group: int, lanes: int) -> Way:
    """Run handlers and flush on the event loop, and only COMMIT in a thread."""
    thread = ThreadPoolExecutor(lanes)

    async def run(customers: list[str]) -> list[UUID]:
        with Session(engine, expire_on_commit=False) as session:
            ids = store_mapped(session, customers)
            session.flush()
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(thread, session.commit)
            return ids

    return OnLoop(run, group, lanes)


def mapped_on_threads(engine: Engine, group: int, lanes: int) -> Way:
    """Run handlers on a synchronous session, in writer threads."""
    return OnThreads(partial(write, engine, store_mapped), group, lanes)


def core_on_threads(engine: Engine, group: int, lanes: int) -> Way:
    """Write a group with two statements, in writer threads."""
    return OnThreads(partial(write, engine, store_core), group, lanes)


def nothing(_engine: object, _group: int, _lanes: int) -> Way:
    """Answer every request at once."""
    return Way()


def open_engine(url: str) -> Engine | AsyncEngine:
    """Open a database as the services do; PostgreSQL's own settings say synchronous_commit=on."""
    if any(driver in url for driver in ("aiosqlite", "asyncpg")):
        engine: Engine | AsyncEngine = create_async_engine(url, pool_size=10)
    else:
        engine = create_engine(url, pool_size=10)
    if "sqlite" in url:
        kept = engine.sync_engine if isinstance(engine, AsyncEngine) else engine
        event.listen(kept, "connect", _pragmas)
        event.listen(kept, "begin", _begin)
    return engine


def _pragmas(connection: Any, _record: object) -> None:  # noqa: ANN401 - either driver's
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
