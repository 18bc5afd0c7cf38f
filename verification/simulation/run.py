"""One run: a schedule is carried out in virtual time, all faults end, and then the ledger is read."""

import asyncio
import gc
import logging
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, redirect_stdout
from dataclasses import dataclass
from functools import cache
from io import StringIO
from pathlib import Path
from typing import IO, Any
from unittest.mock import patch

import services
from chassis.database import migrate as migrations
from chassis.runtime import Loop, lock
from verification.simulation.ledger import Ledger, sent_and_unprinted
from verification.simulation.process import Process, here
from verification.simulation.schedule import SECONDS, SERVICES, Schedule
from verification.simulation.sqlite import installed
from verification.simulation.trouble import inject
from verification.simulation.virtual_loop import Deadlock, TooLong, VirtualLoop, owner
from verification.simulation.world import World

DEADLINE = 900.0
"""Virtual seconds that everything has to settle, once nothing goes wrong any more."""
SECRETS = {
    "feed.secret": "the-feed-secret-of-the-simulation",
    "order.keys": "order:known-to-both-services",
    "notification.keys": "told:known-to-both-services",
}
MEMORY = Path("/dev/shm")  # noqa: S108 - where there is one, files that no disk keeps


@dataclass(frozen=True)
class Result:
    """What became of one run: what it violated, what it did, and what of it was counted."""

    schedule: Schedule
    violations: list[str]
    digest: str
    trace: list[str]
    counted: Counter[str]


def run(schedule: Schedule) -> Result:
    """Carry out one schedule; whatever it finds is in the result."""
    where = MEMORY if MEMORY.is_dir() else None
    with (
        tempfile.TemporaryDirectory(prefix="simulation-", dir=where) as folder,
        _rigged(),
    ):
        for service, content in _template().items():
            (Path(folder) / f"{service}.db").write_bytes(content)
        for name, secret in SECRETS.items():
            (Path(folder) / name).write_text(secret)
        world = World(schedule, Path(folder))
        return _run(world)


def _run(world: World) -> Result:
    loop = VirtualLoop()
    unprinted: set[str] = set()
    world.on_crash = lambda _: unprinted.update(sent_and_unprinted(world))
    world.lines = []
    with redirect_stdout(_Console(world)):
        try:
            loop.run_until_complete(_live(world, loop))
            found = Ledger(world, unprinted).violations()
        except (Deadlock, TooLong) as error:
            found = [f"broken off: {type(error).__name__}"]
        finally:
            for process in world.alive.values():
                process.crash()
            loop.clear()
    orders = Counter(orders=len(world.accepted), seconds=int(loop.time()))
    counted = world.faults.injected + orders
    return Result(world.schedule, found, world.digest(), world.trace, counted)


async def _live(world: World, loop: VirtualLoop) -> None:
    for service in SERVICES:
        loop.create_task(world.keep(service))
    orders = range(1, world.schedule.orders + 1)
    customers = [world.customer(each) for each in orders]
    ordering = asyncio.gather(inject(world), *customers)
    while not ordering.done():
        await asyncio.wait([ordering], timeout=2 * SECONDS)
        world.grow_calm()
    world.faults.are_over = True
    over = loop.time()
    while loop.time() < over + DEADLINE:
        at_work = (
            each.is_serving and not each.is_paused for each in world.alive.values()
        )
        if all(at_work) and Ledger(world).is_settled():
            break
        await asyncio.sleep(world.grow_calm())
    await asyncio.sleep(world.calm)
    world.note("it is over")


class _Console(StringIO):
    """Standard output, on which only the living write."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def write(self, text: str) -> int:
        """Keep a line, unless it is one of a dead process."""
        process = owner.get()
        if isinstance(process, Process) and not process.dead:
            process.crash_point("before it prints")
            self._world.lines.append(text)
            self._world.note(f"printed {text.strip()}")
            process.crash_point("after it printed")
        return len(text)


@cache
def _template() -> dict[str, bytes]:
    """Migrate both databases once; each run has a copy of these files."""
    with tempfile.TemporaryDirectory() as folder:
        return {each: _migrated(Path(folder) / each, each) for each in SERVICES}


def _migrated(file: Path, service: str) -> bytes:
    folder = Path(services.__path__[0]) / service / "migrations"
    migrations.upgrade(service, f"sqlite:///{file}", folder)
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        # The feed's id is random; here each database has the same in every run.
        connection.execute("UPDATE feed SET id = ?", [f"{len(service):032x}"])
    return file.read_bytes()


async def _nothing(*_: object) -> None:
    """Migrate nothing: the template is migrated."""


async def _in_this_thread(work: Any, *arguments: Any, **_: Any) -> Any:  # noqa: ANN401 - whatever it is
    return work(*arguments)


def _work_clock() -> float:
    return here().work_clock()


def _try_lock(file: IO[bytes], *kind: int) -> bool:
    is_free = _TRY_LOCK(file, *kind)
    if is_free:
        here().holds(file)
    return is_free


async def _run_loop(loop: Loop) -> None:
    here().begins(loop)
    await _RUN_LOOP(loop)


_TRY_LOCK, _RUN_LOOP = lock.try_lock, Loop.run


@contextmanager
def _rigged() -> Iterator[None]:
    """Patch what a simulation cannot have: migrations at each start, threads, real time, locks after a crash.

    A lock is the kernel's and belongs to the whole of our process, so a crash has to release it by hand.
    """
    _template()
    logging.disable(logging.CRITICAL)
    gc.disable()  # what it would finalize, and when, is in no schedule
    try:
        with (
            installed(),
            patch("chassis.service.service.migrate", _nothing),
            patch("chassis.database.group_commit.perf_counter", _work_clock),
            patch("anyio.to_thread.run_sync", _in_this_thread),
            patch("chassis.runtime.lock.try_lock", _try_lock),
            patch.object(Loop, "run", _run_loop),
        ):
            yield
    finally:
        # All of the run is there; later it would be in the middle of another run.
        gc.collect(0)
        gc.enable()
        logging.disable(logging.NOTSET)
