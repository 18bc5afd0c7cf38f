"""What a loop shows of itself: whether it fails, its newest error, and how long it has been at one step."""

import asyncio
from pathlib import Path

from chassis.runtime.loop import Loop
from tests.chassis.runtime.test_loop import Work
from tests.support.eventually import eventually


async def test_a_loop_shows_that_it_fails_and_its_newest_error_afterwards(
    tmp_path: Path,
) -> None:
    work = Work(failures=3)
    loop = Loop("x", work.step, work.start, asyncio.Event(), tmp_path / "lock")
    loop.first_pause = 0.05
    assert not loop.status().has_lock
    task = asyncio.create_task(loop.run())
    await work.has_steps(2)
    failing = loop.status()
    await work.has_steps(4)

    async def has_recovered() -> bool:
        return not loop.status().failures

    await eventually(has_recovered, "the loop has recovered")
    await loop.stop(task)
    assert (failing.has_lock, failing.error) == (True, "ValueError: ")
    assert failing.failures >= 1
    assert failing.failing_for > 0
    recovered = loop.status()
    assert (recovered.failing_for, recovered.error) == (0.0, "ValueError: ")
    assert recovered.error_at


async def test_a_loop_shows_for_how_long_it_has_been_at_one_step(
    tmp_path: Path,
) -> None:
    started, released = asyncio.Event(), asyncio.Event()

    async def hang() -> bool:
        started.set()
        await released.wait()
        return False

    loop = Loop("x", hang, Work().start, asyncio.Event(), tmp_path / "lock")
    task = asyncio.create_task(loop.run())
    await started.wait()

    async def is_at_it() -> bool:
        return loop.status().in_step_for > 0.01

    await eventually(is_at_it, "it is seen at its step")
    released.set()
    await loop.stop(task)
    assert loop.status().in_step_for == 0.0
