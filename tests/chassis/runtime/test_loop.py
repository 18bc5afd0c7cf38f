"""A service's loops: woken by a signal or an interval, backing off on errors, and stopped in good order."""

import asyncio
import logging
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from chassis.runtime.loop import Loop
from tests.support.eventually import eventually

ROOT = Path(__file__).parents[3]
NEVER = 60.0
LOGGER = "chassis.runtime.loop"
WORK = """
import asyncio, sys
from pathlib import Path
from chassis.runtime.loop import Loop

async def start(): print("started", flush=True)
async def step(): print("works", flush=True)

asyncio.run(Loop("x", step, start, asyncio.Event(), Path(sys.argv[1]), interval=0.01).run())
"""


@dataclass
class Work:
    """Work for a loop, with a record of each attempt at it."""

    more: int = 0
    failures: int = 0
    failing_starts: int = 0
    starts: int = 0
    steps: list[float] = field(default_factory=list)

    async def start(self) -> None:
        """Start, or fail."""
        self.starts += 1
        if self.starts <= self.failing_starts:
            raise OSError("the database is unavailable\nand more")

    async def step(self) -> bool:
        """Do one round, or fail."""
        self.steps.append(time.monotonic())
        if len(self.steps) <= self.failures:
            raise ValueError
        self.more -= 1
        return self.more >= 0

    async def has_steps(self, number: int) -> None:
        """Wait for so many rounds."""

        async def done() -> bool:
            return len(self.steps) >= number

        await eventually(done, f"{number} rounds are done", deadline=10)


def loop_for(
    folder: Path, work: Work, interval: float = NEVER, pause: float = 0.01
) -> Loop:
    """Return a loop for some work."""
    signal = asyncio.Event()
    lock = folder / "lock"
    return Loop("loop", work.step, work.start, signal, lock, interval, pause)


@asynccontextmanager
async def running(loop: Loop) -> AsyncIterator[asyncio.Task[None]]:
    """Run a loop, and stop it at the end."""
    task = asyncio.create_task(loop.run())
    try:
        yield task
    finally:
        await asyncio.wait_for(loop.stop(task), 5)


async def test_a_signal_wakes_the_loop(tmp_path: Path) -> None:
    work = Work()
    loop = loop_for(tmp_path, work)

    async with running(loop):
        await work.has_steps(1)
        loop.signal.set()
        await work.has_steps(2)

    assert (len(work.steps), work.starts) == (2, 1)


async def test_the_loop_works_at_each_interval_without_a_signal(tmp_path: Path) -> None:
    work = Work()

    async with running(loop_for(tmp_path, work, interval=0.02)):
        await work.has_steps(4)

    gaps = [b - a for a, b in zip(work.steps, work.steps[1:], strict=False)]
    assert min(gaps) >= 0.015


async def test_while_there_is_more_to_do_the_loop_does_not_wait(tmp_path: Path) -> None:
    work = Work(more=50)

    async with running(loop_for(tmp_path, work)):
        await work.has_steps(51)

    assert len(work.steps) == 51


async def test_a_signal_during_a_round_is_not_lost(tmp_path: Path) -> None:
    work = Work()
    loop = loop_for(tmp_path, work)

    async def step() -> bool:
        if not work.steps:
            loop.signal.set()
        return await work.step()

    loop.step = step
    async with running(loop):
        await work.has_steps(2)


async def test_a_loop_that_is_stopped_while_it_fails_does_not_log_that_it_recovered(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, LOGGER)

    async with running(loop_for(tmp_path, work := Work(failures=1_000))):
        await work.has_steps(2)

    assert caplog.messages == ["loop failed, retrying: ValueError: "]


async def test_a_failing_step_is_retried_ever_more_slowly_and_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, LOGGER)
    work = Work(failures=4)

    async with running(loop_for(tmp_path, work, pause=0.02)):
        await work.has_steps(5)

    gaps = [b - a for a, b in zip(work.steps, work.steps[1:], strict=False)]
    least = (0.01, 0.02, 0.04, 0.08)
    assert all(gap >= pause for gap, pause in zip(gaps, least, strict=True)), gaps
    assert caplog.messages == [
        "loop failed, retrying: ValueError: ",
        "loop recovered after 4 failures",
    ]


async def test_the_traceback_is_logged_once_for_each_different_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, LOGGER)
    failures = [
        ValueError("a"),
        ValueError("a"),
        ValueError("b"),
        KeyError("b"),
        ValueError("a"),
        KeyError("b"),
    ]
    work, left = Work(), iter(failures)

    async def step() -> bool:
        if error := next(left, None):
            raise error
        return await work.step()

    loop = loop_for(tmp_path, work, pause=0.001)
    loop.step = step
    async with running(loop):
        await work.has_steps(1)

    *failed, recovered = caplog.records
    assert [each.getMessage() for each in failed] == [
        "loop failed, retrying: ValueError: a",
        "loop failed, retrying: ValueError: b",
        "loop failed, retrying: KeyError: 'b'",
    ]
    assert [each.exc_info[1] for each in failed if each.exc_info] == [
        failures[0],
        failures[2],
        failures[3],
    ]
    assert recovered.getMessage() == "loop recovered after 6 failures"


async def test_an_error_is_logged_again_after_a_success(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    work, failing = Work(), iter([True, False, True])

    async def step() -> bool:
        if next(failing, False):
            raise ValueError
        await work.step()
        return len(work.steps) < 2

    loop = loop_for(tmp_path, work, pause=0.001)
    loop.step = step
    async with running(loop):
        await work.has_steps(2)

    assert caplog.messages == ["loop failed, retrying: ValueError: "] * 2


async def test_errors_that_differ_each_time_do_not_fill_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    work, numbers = Work(), iter(range(50))

    async def step() -> bool:
        if (number := next(numbers, None)) is not None:
            raise ValueError(number)
        return await work.step()

    loop = loop_for(tmp_path, work, pause=0.0001)
    loop.longest_pause = 0.001
    loop.step = step
    async with running(loop):
        await work.has_steps(1)

    assert len(caplog.messages) == 20


async def test_an_error_that_its_message_explains_is_logged_without_a_traceback(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    work = Work(failures=1)
    loop = loop_for(tmp_path, work)
    loop.expected = (ValueError,)

    async with running(loop):
        await work.has_steps(2)

    assert [each.exc_info for each in caplog.records] == [None]


@pytest.mark.parametrize(("log_after", "lines"), [(0.0, 2), (NEVER, 0)])
async def test_errors_that_end_soon_enough_are_not_worth_a_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, log_after: float, lines: int
) -> None:
    caplog.set_level(logging.INFO, LOGGER)
    work = Work(failures=4)
    loop = loop_for(tmp_path, work, pause=0.01)
    loop.log_after = log_after

    async with running(loop):
        await work.has_steps(5)

    assert len(caplog.messages) == lines


async def test_the_pause_has_a_longest(tmp_path: Path) -> None:
    work = Work(failures=40)
    loop = loop_for(tmp_path, work)
    loop.longest_pause = 0.01

    async with running(loop):
        await work.has_steps(41)

    assert work.steps[-1] - work.steps[0] < 5


async def test_the_start_is_retried_until_it_succeeds_and_no_round_is_done_before(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    work = Work(failing_starts=3)

    async with running(loop_for(tmp_path, work)):
        await work.has_steps(1)

    assert work.starts == 4
    first = "loop failed, retrying: OSError: the database is unavailable"
    assert caplog.messages[0] == first


async def test_stopping_waits_for_the_round_in_flight(tmp_path: Path) -> None:
    work = Work()
    under_way, may_finish = asyncio.Event(), asyncio.Event()

    async def step() -> bool:
        under_way.set()
        await may_finish.wait()
        return await work.step()

    loop = loop_for(tmp_path, work)
    loop.step = step
    work.more = 1000
    task = asyncio.create_task(loop.run())
    await under_way.wait()
    stopping = asyncio.create_task(loop.stop(task))
    await asyncio.wait([stopping], timeout=0.05)
    assert not stopping.done()
    may_finish.set()
    await asyncio.wait_for(stopping, 5)

    assert len(work.steps) == 1
    assert work.more == 999
    assert task.done()
    assert not task.cancelled()


async def is_asleep(work: Work) -> None:
    """Wait until the first round is over."""
    await work.has_steps(1)


async def is_failing(work: Work) -> None:
    """Wait until the first round has failed."""
    work.failures = 1000
    await work.has_steps(1)


@pytest.mark.parametrize("until", [is_asleep, is_failing])
async def test_stopping_does_not_wait_for_a_pause_to_end(
    tmp_path: Path, until: Callable[[Work], Awaitable[None]]
) -> None:
    work = Work()
    loop = loop_for(tmp_path, work, pause=NEVER)
    loop.longest_pause = NEVER
    before = time.monotonic()

    async with running(loop):
        await until(work)

    assert time.monotonic() - before < 5
    assert len(work.steps) == 1


async def test_of_two_loops_with_one_lock_one_works_and_then_the_other(
    tmp_path: Path,
) -> None:
    first, second = Work(), Work()
    second_loop = loop_for(tmp_path, second, interval=0.01)

    async with running(loop_for(tmp_path, first, interval=0.01)):
        await first.has_steps(1)
        task = asyncio.create_task(second_loop.run())
        await first.has_steps(10)
        assert (second.starts, second.steps) == (0, [])

    await second.has_steps(1)
    assert second.starts == 1
    await asyncio.wait_for(second_loop.stop(task), 5)


async def test_a_loop_that_waits_for_its_lock_stops_at_once(tmp_path: Path) -> None:
    first, second = Work(), Work()

    async with (
        running(loop_for(tmp_path, first)),
        running(loop_for(tmp_path, second)),
    ):
        await first.has_steps(1)

    assert second.starts == 0


async def test_when_a_process_is_killed_another_takes_over_its_work(
    tmp_path: Path,
) -> None:
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", WORK, str(tmp_path / "lock")),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
        )
        for _ in range(2)
    ]
    started = [asyncio.create_task(p.stdout.readline()) for p in processes if p.stdout]
    try:
        done, (waiting,) = await asyncio.wait(started, return_when="FIRST_COMPLETED")
        assert {task.result() for task in done} == {b"started\n"}
        processes[started.index(done.pop())].kill()

        assert await asyncio.wait_for(waiting, 10) == b"started\n"
    finally:
        for process in processes:
            if process.returncode is None:
                process.kill()
            await process.wait()
        await asyncio.gather(*started)
